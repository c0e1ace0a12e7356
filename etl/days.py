"""The days on which UTC times fall where a company is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from etl import model


def local_dates(times: pd.Series, companies: pd.Series, zones: Mapping[str, str]) -> pd.Series:
    """The ISO date of each UTC time in its company's time zone ("" stays ""; a company without zone counts in UTC).

    A value that is a date already stays as it is.
    """
    time_codes, texts = model.distinct(times)
    company_codes, names = model.distinct(companies)
    zone_names = [zones.get(name, "UTC") for name in names]
    zone_codes = pd.factorize(np.array(zone_names, dtype=object))[0][company_codes]
    both, first = model.combine([zone_codes.astype(np.int64), time_codes])
    days = np.array(texts, dtype=object)[time_codes[first]]
    zone_of, timed = zone_codes[first], np.array([len(day) > 10 for day in days], dtype=bool)
    for number, zone in enumerate(dict.fromkeys(zone_names)):
        mine = np.flatnonzero((zone_of == number) & timed)
        instants = pd.DatetimeIndex(np.array([t.removesuffix("Z") for t in days[mine]], dtype="datetime64[s]"))
        local = instants.tz_localize("UTC").tz_convert(zone).tz_localize(None)
        days[mine] = np.datetime_as_string(local.to_numpy().astype("datetime64[D]")).astype(object)
    return model.spread(days.tolist(), both)
