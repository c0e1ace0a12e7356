"""Lineage as OpenLineage events, when a transport is configured the standard way; else nothing is imported or sent.

Build: the landed file -> the batches, with the column lineage from the mapping. Load: a batch -> the target's table or
file. An event that cannot be sent is logged and never stops a run. No amounts, names or texts of claims are in events.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.engine import make_url

from etl import masking, model, render
from etl.mapping import lineage as origins
from etl.pipeline.context import Context, code_version, now
from etl.pipeline.shelf import BATCHES, LANDING
from etl.store import Batch, Landing
from etl.transport.connections import DATABASE

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import DatasetFacet

_LOG: Final = logging.getLogger(__name__)
_AIRFLOW: Final = "AIRFLOW__OPENLINEAGE__TRANSPORT"
_FILES: Final = (Path("openlineage.yml"), Path.home() / ".openlineage" / "openlineage.yml")
# Database of SQLAlchemy -> scheme of OpenLineage's naming.
_SCHEMES: Final = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}


def configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a transport is configured: OPENLINEAGE_URL, OPENLINEAGE_CONFIG, OPENLINEAGE__TRANSPORT__..., Airflow's
    own setting, or an openlineage.yml where the client looks for one; OPENLINEAGE_DISABLED=true switches all off."""
    if environment.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    named = any(environment.get(name) for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", _AIRFLOW))
    nested = any(name.startswith("OPENLINEAGE__TRANSPORT__") for name in environment)
    return named or nested or any(path.is_file() for path in _FILES)


@contextmanager
def building(context: Context, landing: Landing) -> Iterator[None]:
    """START, then COMPLETE or FAIL, of the build of one landing."""
    if not configured():
        yield
        return
    before = {batch.batch_id for batch in context.store.batches(context.feed_id)}

    def outputs() -> list[OutputDataset]:
        made = [one for one in context.store.batches(context.feed_id) if one.batch_id not in before]
        return [_batch_out(context, batch, landing) for batch in made]

    with _told(context, "build", landing.sha256, lambda: [_landed(context, landing)], outputs):
        yield


@contextmanager
def loading(context: Context, batch: Batch) -> Iterator[None]:
    """START, then COMPLETE or FAIL, of the delivery of one batch."""
    if not configured():
        yield
        return
    with _told(context, "load", batch.batch_id, lambda: [_batch_in(context, batch)], lambda: [_target(context, batch)]):
        yield


@contextmanager
def _told(
    context: Context, step: str, subject: str, inputs: Callable[[], Sequence[InputDataset]],
    outputs: Callable[[], Sequence[OutputDataset]],
) -> Iterator[None]:  # fmt: skip
    sender = _sender(context.run_id)
    run_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"claimpost:{context.run_id}:{step}:{subject}"))

    def event(kind: str, made: bool, fault: BaseException | None = None) -> None:
        sender.send(lambda: _event(context, step, run_id, kind, inputs(), outputs() if made else (), fault))

    event("START", False)
    try:
        yield
    except Exception as fault:
        event("FAIL", False, fault)
        raise
    event("COMPLETE", True)


class _Sender:
    """Sends events with one client; after the first failure of a run it is silent, so a dead server costs one wait."""

    def __init__(self) -> None:
        self.client: Any = None
        self.silent = False

    def send(self, made: Callable[[], Any]) -> None:
        """Make and send an event; whatever goes wrong is logged, the run goes on."""
        if self.silent:
            return
        try:
            self.client = self.client or _client()
            self.client.emit(made())
        except Exception as error:  # any fault of a transport; lineage is never worth a run
            self.silent = True
            kind = type(error).__name__
            _LOG.warning("no more lineage events in this run: %s: %s", kind, masking.masked(str(error)))


@functools.lru_cache(maxsize=8)
def _sender(run_id: str) -> _Sender:
    return _Sender()


def _client() -> Any:
    from openlineage.client import OpenLineageClient

    transport = os.environ.get(_AIRFLOW)
    return OpenLineageClient(config={"transport": json.loads(transport)}) if transport else OpenLineageClient()


def _event(
    context: Context, step: str, run_id: str, kind: str, inputs: Sequence[InputDataset],
    outputs: Sequence[OutputDataset], fault: BaseException | None,
) -> Any:  # fmt: skip
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import error_message_run, job_type_job, processing_engine_run

    version = code_version()
    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(version=version, name="claimpost")
    }
    if (parent := _parent(os.environ.get("OPENLINEAGE_PARENT_ID", ""))) is not None:
        facets["parent"] = parent
    if fault is not None:
        told = masking.masked(str(fault)) or type(fault).__name__
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(told, "python")
    job_type = job_type_job.JobTypeJobFacet("BATCH", "CLAIMPOST", "JOB")
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or "claimpost"
    return event_v2.RunEvent(
        eventTime=now(), producer=f"https://pypi.org/project/claimpost/{version}", eventType=event_v2.RunState[kind],
        run=event_v2.Run(run_id, facets),
        job=event_v2.Job(namespace, f"{context.feed_id}.{step}", {"jobType": job_type}),
        inputs=list(inputs), outputs=list(outputs),
    )  # fmt: skip


def _parent(named: str) -> Any:
    """The run that started ours, from `namespace/job/run id` as Airflow's macro lineage_parent_id gives it, or None."""
    from openlineage.client.facet_v2 import parent_run

    parts = named.rsplit("/", 2)
    if len(parts) < len(("namespace", "job", "run id")):
        return None
    namespace, job, run_id = parts
    return parent_run.ParentRunFacet(parent_run.Run(run_id), parent_run.Job(namespace, job))


# --- datasets


def _landed(context: Context, landing: Landing) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    version = dataset_version_dataset.DatasetVersionDatasetFacet(landing.sha256)
    return InputDataset(*_landing_name(context, landing), facets={"version": version})


def _landing_name(context: Context, landing: Landing) -> tuple[str, str]:
    return context.shelf.dataset(LANDING, landing.sha256)


def _batch_in(context: Context, batch: Batch) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    version = dataset_version_dataset.DatasetVersionDatasetFacet(batch.sha256)
    return InputDataset(*_batch_name(context, batch), facets={"version": version})


def _batch_name(context: Context, batch: Batch) -> tuple[str, str]:
    return context.shelf.dataset(BATCHES, batch.folder)


def _batch_out(context: Context, batch: Batch, landing: Landing) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import (
        column_lineage_dataset,
        dataset_version_dataset,
        output_statistics_output_dataset,
        schema_dataset,
    )

    name = _landing_name(context, landing)
    columns = origins.journal_columns(context.bundle)
    fields = {
        column: column_lineage_dataset.Fields(_inputs(context, name, told, "TRANSFORMATION", "DIRECT"))
        for column, told in columns.items()
    }
    filters = _inputs(context, name, origins.filters(context.bundle), "FILTER", "INDIRECT")
    facets = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(batch.sha256),
        "schema": schema_dataset.SchemaDatasetFacet(
            [schema_dataset.SchemaDatasetFacetFields(column, _kind(column)) for column in _COLUMNS]
        ),
        "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(fields, filters),
    }
    rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=batch.lines)
    return OutputDataset(*_batch_name(context, batch), facets=facets, outputFacets={"outputStatistics": rows})


_COLUMNS: Final = tuple(dict.fromkeys([*model.JOURNAL_COLUMNS, *model.JOURNAL_LINE_COLUMNS]))


def _kind(column: str) -> str:
    return "int64" if column in ("lines", "line_no") or column.endswith("_minor") else "string"


def _inputs(
    context: Context, name: tuple[str, str], told: Sequence[origins.Origin], subtype: str, kind: str
) -> list[Any]:
    """The source's columns behind some origins, each with every rule that reads it."""
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    source, rules = context.bundle.source, dict[str, list[str]]()
    for origin in told:
        at = f"{source.file} line {source.line('fields', origin.field)}"
        for column in origins.source_columns(source, origin.field):
            rules.setdefault(column, []).append(f"{origin.field} ({at}) by {origin.rule}")
    read = {column: [facet.Transformation(kind, subtype, one) for one in some] for column, some in rules.items()}
    return [facet.InputField(*name, column, steps) for column, steps in read.items()]


def _target(context: Context, batch: Batch) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import column_lineage_dataset, output_statistics_output_dataset

    profile: Any = context.profile(batch.target)
    entry = context.target_entry(batch.target)
    namespace, name = _place(context, batch, profile, entry)
    source = _batch_name(context, batch)
    fields = {
        column: column_lineage_dataset.Fields(
            [column_lineage_dataset.InputField(*source, field, [_by(rule)]) for field in named]
        )
        for column, (named, rule) in origins.target_columns(profile).items()
    }
    facets: dict[str, DatasetFacet] = {}
    if fields:
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields)
    rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=batch.lines)
    return OutputDataset(namespace, name, facets=facets, outputFacets={"outputStatistics": rows})


def _by(rule: str) -> Any:
    from openlineage.client.facet_v2 import column_lineage_dataset

    return column_lineage_dataset.Transformation("DIRECT", "TRANSFORMATION", rule)


def _place(
    context: Context, batch: Batch, profile: Mapping[str, Any], entry: Mapping[str, Any]
) -> tuple[str, str]:  # fmt: skip
    """Namespace and name of a batch's target, without anything secret."""
    connection = context.connection(entry)
    if connection.kind == DATABASE:
        url = make_url(connection.url)
        if url.get_backend_name() == "sqlite":
            return "file", f"{url.database}#{profile['table']}"
        host = f"{url.host or 'localhost'}" + (f":{url.port}" if url.port else "")
        scheme = _SCHEMES[url.get_backend_name()]
        return f"{scheme}://{host}", f"{url.database}.{profile['table']}"
    path = str(Path(connection.path or "/", entry.get("path", ""), render.file_name(profile, batch.batch_id)))
    return (f"sftp://{connection.host}:{connection.port or 22}" if connection.host else "file"), path
