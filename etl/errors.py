"""Everything that can go wrong, by what it means for the reader.

    ClaimpostError                 has a code, facts, and says what, where and what to do
    |- ConfigurationError          exit 3   mapping, settings or connection: fix the file, run again
    |- FileRejected                exit 4   one input file, whole: nothing of it was used, the file is kept
    |- PermanentError              exit 5   the world says no: a retry cannot help
    |  `- ConflictError            exit 5   same id, other content: the target stops, nothing was written
    `- TransientError              exit 6   the world is busy: a retry is safe and will probably help

A bad *record* is no exception: it is a row of the rejects frame with a code from the same catalogue.
The catalogue below is the only place where an error gets its text; docs/errors.md is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import Final


@dataclass(frozen=True)
class Entry:
    """One code of the catalogue: what it means, who acts, what the next step is, and what usually causes it."""

    code: str
    outcome: str
    text: str
    owner: str
    next_step: str
    cause: str  # of CAUSES


FILE, REPORT, HOLD, SETUP, STOP, RETRY, BREAK = "file", "report", "hold", "setup", "stop", "retry", "break"
SHADOW, REFUSAL = "shadow", "refusal"
OUTCOMES: Final = {
    FILE: "the whole file is rejected and kept; nothing of it is used",
    REPORT: "the whole report is quarantined; the other reports go on",
    HOLD: "parked until data or an approval comes; the other reports go on",
    SETUP: "nothing starts; fix the file or setting named and run again",
    STOP: "the step stops; a retry cannot help",
    RETRY: "the step stops; running it again is safe",
    BREAK: "reported by reconciliation or by `claimpost verify`",
    SHADOW: "reported by a shadow run: what we would post differs from what the legacy interface posted",
    REFUSAL: "what the ERP says of a journal that it has not posted, in our words; its own stand beside them",
}

_SOURCE, _ENGINEER, _FINANCE, _OPS = "source system", "data engineering", "finance", "operations"
_RESEND = "Ask the sender for a corrected file; deliver it again under any name."
_CORRECT = "Correct the report in the expense system; it comes again as a new version."

_ROWS: Final = (
    # --- file: bytes and names
    ("EMPTY", FILE, "{file} holds no data.", _SOURCE, _RESEND),
    ("SIZE", FILE, "{file} is beyond the limit: {found}, at most {limit}.", _ENGINEER,
     "Split the delivery, or raise the limit in the source mapping if this size is expected."),
    ("ENCODING", FILE, "{file} line {line} is not {encoding}: {detail}.", _SOURCE, _RESEND),
    ("NUL", FILE, "{file} line {line} holds a NUL byte: the writer crashed or this is no text file.", _SOURCE, _RESEND),
    ("LINE_END", FILE, "{file} line {line} holds a lone carriage return; lines end in LF or CRLF.", _SOURCE, _RESEND),
    ("CONTENT_TYPE", FILE, "{file} is {found}, not {expected}.", _SOURCE, _RESEND),
    ("PATH", FILE, "The file name {file} is not one this feed takes ({pattern}).", _OPS,
     "Rename the file, or correct source.files in the feed."),
    ("COMPRESSION", FILE, "{file} cannot be unpacked safely: {detail}.", _SOURCE, _RESEND),
    ("SIDECAR", FILE, "{file} does not match its .ok file: {detail}.", _SOURCE, _RESEND),
    ("INCOMPLETE", FILE, "{file} is cut off: {detail}.", _SOURCE, _RESEND),
    # --- file: structure
    ("HEADER", FILE, "{file} line {line}: the header is not one of the declared layouts. {detail}", _ENGINEER,
     "Ask the sender what changed; add the layout to the source mapping when finance agrees."),
    ("UNKNOWN_COLUMN", FILE, "{file} line {line}: unknown column {found}.", _ENGINEER,
     "Ask the sender what the column means; add the layout to the source mapping when finance agrees."),
    ("SYNTAX", FILE, "{file} line {line} is no sound JSON: {detail}.", _SOURCE, _RESEND),
    ("TYPE", FILE, "{file} line {line}: {field} is {found}, not {expected}.", _ENGINEER,
     "Ask the sender what changed; correct the levels of the source mapping when finance agrees."),
    ("FIELD_COUNT", FILE, "{file} line {line} has {found} fields, not {expected}.", _SOURCE, _RESEND),
    ("RECORD_MARK", FILE, "{file} line {line} begins with {found}, not {expected}.", _SOURCE, _RESEND),
    ("QUOTING", FILE, "{file} line {line}: {detail}.", _SOURCE, _RESEND),
    ("RECORD_COUNT", FILE, "{file} line {line}: {expected} lines make {found} records: a quote or a line break swallowed some.",
     _SOURCE, _RESEND),
    ("BLANK_LINE", FILE, "{file} line {line} is blank in the middle of the data.", _SOURCE, _RESEND),
    ("CONTROL_TOTAL", FILE, "{file} says {field} = {expected}, the records give {found}.", _SOURCE,
     _RESEND),
    ("ENVIRONMENT", FILE, "{file} line {line} is marked {found}; this feed takes {expected}.", _OPS,
     "Find out who sent it here; deliver it to the right environment."),
    ("LEGACY_LINE", FILE, "{file} line {line}: {detail}.", _ENGINEER,
     "Correct the profile in mappings/legacy, or the file; a journal is compared whole or not at all."),
    # --- report: identity and text
    ("MISSING", REPORT, "{field} is empty.", _SOURCE, _CORRECT),
    ("CODE", REPORT, "{field} {value!r} is not a plain code ({detail}).", _SOURCE, _CORRECT),
    ("LENGTH", REPORT, "{field} is longer than {detail}.", _SOURCE, _CORRECT),
    ("CONTROL_CHARACTER", REPORT, "{field} holds a control character.", _SOURCE, _CORRECT),
    ("UNICODE", REPORT, "{field} holds a character that is not valid text.", _SOURCE, _CORRECT),
    ("INTEGER", REPORT, "{field} {value!r} is not a whole number.", _SOURCE, _CORRECT),
    ("UNIDENTIFIED", REPORT, "The line names no report, so it cannot be booked with one.", _SOURCE, _CORRECT),
    ("REPORT_HEADER", REPORT, "{field} differs between lines of one report.", _SOURCE, _CORRECT),
    ("LINE_REPEATED", REPORT, "Line {value} stands twice in the report.", _SOURCE, _CORRECT),
    ("STATUS", REPORT, "The report's state is {value!r}; only {detail} may be booked.", _SOURCE,
     "Wait for the approval, or correct the export's filter."),
    ("CONFLICT", REPORT, "Report and version were landed before with other content.", _SOURCE,
     "Ask the sender which content is right; deliver it under a new version."),
    ("REVISION", HOLD, "It corrects a version whose journal the ERP has not settled: {value}.", _OPS,
     "Nothing: the first build after the ERP's answer goes on with it. A reversal that the ERP refused is mended there."),
    # --- report: money and dates
    ("MONEY", REPORT, "{field} {value!r} is not an amount ({detail}).", _SOURCE, _CORRECT),
    ("PRECISION", REPORT, "{field} {value!r} has more decimals than {detail} allows.", _SOURCE, _CORRECT),
    ("RANGE", REPORT, "{field} {value!r} is beyond 10^15 minor units.", _SOURCE, _CORRECT),
    ("ZERO", REPORT, "{field} is zero: there is nothing to book.", _SOURCE, _CORRECT),
    ("NEGATIVE", REPORT, "{field} {value!r} is negative where no refund is allowed.", _SOURCE, _CORRECT),
    ("CURRENCY", REPORT, "{field} {value!r} is not a currency of ISO 4217.", _SOURCE, _CORRECT),
    ("TAX", REPORT, "Tax {value} does not agree with the amount: {detail}.", _SOURCE, _CORRECT),
    ("TAX_RATE", REPORT, "{field} {value!r} is not a tax rate ({detail}).", _SOURCE, _CORRECT),
    ("SPLIT", REPORT, "The parts of line {value} give {detail}.", _SOURCE, _CORRECT),
    ("SUM", REPORT, "{field} {value} differs from {detail}.", _SOURCE, _CORRECT),
    ("REPORT_TOTAL", REPORT, "The lines add up to {detail}, the report says {value}.", _SOURCE, _CORRECT),
    ("DATE", REPORT, "{field} {value!r} is not a date written {detail}.", _SOURCE, _CORRECT),
    ("DATE_RANGE", REPORT, "{field} {value!r} is outside {detail}.", _SOURCE, _CORRECT),
    ("DATE_ORDER", REPORT, "{field} {value!r} lies before {detail}.", _SOURCE, _CORRECT),
    ("RATE", HOLD, "No exchange rate for {detail} on {value}.", _FINANCE,
     "Add the rate to the rate table, then run the feed again."),
    ("RATE_VALUE", REPORT, "{field} {value!r} is not a usable exchange rate ({detail}).", _SOURCE, _CORRECT),
    # --- report: mapping and references
    ("COMPANY", REPORT, "Company {value!r} is not one of this feed's.", _ENGINEER,
     "Add the company to the feed, or stop the sender exporting it."),
    ("COMPANY_LEFT", HOLD, "Company {value!r} has left the feed; journal {detail} in its books is to be reversed.", _ENGINEER,
     "Put the company back into the feed and run it again, or have finance reverse the journal in the ERP."),
    ("MAPPING_GAP", HOLD, "{field}: no row for {value} in {detail}.", _FINANCE,
     "Add the row to the table, then run the feed again."),
    ("SUSPENSE_LIMIT", HOLD, "{field}: no row for {value}, and suspense is full: {detail}.", _FINANCE,
     "Add the rows to the table, or raise lines_max in the journal mapping, then run the feed again."),
    ("REFERENCE", HOLD, "{field} {value!r} is unknown or not valid on the date ({detail}).", _FINANCE,
     "Add or extend it in the table, then run the feed again."),
    ("PERIOD_CLOSED", HOLD, "Period {value} is closed for {detail}.", _FINANCE,
     "Open the period, or let the policy move it to the next open one."),
    ("ROUNDING_LIMIT", HOLD, "Rounding of {value} is above the limit of {detail}.", _FINANCE,
     "Check the rate; raise the limit in the journal mapping if it is right."),
    ("UNBALANCED", HOLD, "The journal does not balance: {detail}.", _FINANCE,
     "Correct the journal mapping; a claim's debits and credits must be equal in both currencies."),
    ("LINES", HOLD, "The journal has {value} lines, its ERP takes {detail} in one document.", _ENGINEER,
     "Declare `split` in the journal mapping, or book fewer lines by `merge`."),
    ("ROUNDING_PERIOD", HOLD, "Rounding in {value} would come to more than {detail} in the period.", _FINANCE,
     "Look at the rounding ledger of the period; raise the limit in the journal mapping if it is right."),
    ("POLICY", REPORT, "{detail}", _FINANCE, "Correct the report, or have the exception approved."),
    ("APPROVAL", HOLD, "{detail}", _FINANCE, "Have the exception approved."),
    ("SOD", HOLD, "{value} approved their own report.", _FINANCE,
     "Have somebody else approve it in the expense system; it comes again as a new version."),
    ("INVOICE_REPEATED", HOLD, "Invoice {value} is claimed more than once, in {detail}.", _FINANCE,
     "Look at the receipts; discard the report that is not entitled to it, release the other."),
    ("UNENCODABLE", HOLD, "{field} {value!r} cannot be written in {detail}.", _FINANCE,
     "Correct the text, or declare a replacement in the target profile."),
    ("KEY_OVERFLOW", HOLD, "{field} {value!r} is longer than the ERP's {detail}.", _ENGINEER,
     "Shorten the code; keys are never cut."),
    ("VOLUME", HOLD, "The delivery is unusual: {detail}.", _FINANCE,
     "Compare with the sender; if it is right, widen the gate in the feed and run again."),
    # --- setup
    ("YAML", SETUP, "{file} line {line}: {detail}.", _ENGINEER, "Correct the line."),
    ("SCHEMA", SETUP, "{file} line {line}: {field}: {detail}.", _ENGINEER,
     "Correct the line; mappings/README.md and `claimpost mapping schema KIND` list what may stand there."),
    ("TABLE", SETUP, "{file} line {line}: {detail}.", _ENGINEER, "Correct the row."),
    ("UNKNOWN_FEED", SETUP, "There is no feed {value!r}; there are: {detail}.", _ENGINEER,
     "Use one of these, or add mappings/feeds/{value}.yml."),
    ("NO_MAPPINGS", SETUP, "No mappings folder at {file}.", _ENGINEER,
     "Set CLAIMPOST_MAPPINGS, or start in the project folder."),
    ("CONNECTION", SETUP, "Connection {value!r}: {detail}.", _ENGINEER,
     "Define it in Airflow, or as AIRFLOW_CONN_{name}."),
    ("HOST_KEY", STOP, "Server {value} shows another host key than the pinned one.", _OPS,
     "Do not connect. Ask the server's owner; pin the new key only when they confirm it."),
    ("NO_INPUT", SETUP, "{file} holds no file that feed {value} takes ({pattern}).", _OPS,
     "Check the path and the file names."),
    ("SETTING", SETUP, "{field} = {value!r}: {detail}.", _ENGINEER, "Correct the setting."),
    ("SIGN_OFF", SETUP, "Feed {value} cannot be signed off for {period}: {detail}.", _FINANCE,
     "Run `claimpost shadow` for the period again; correct, or accept with a reason in the legacy profile, what is left."),
    ("NOT_FOUND", SETUP, "There is no {field} {value!r} in the store.", _OPS, "Check the id; `claimpost status` lists the batches."),
    ("NO_RUN", SETUP, "Airflow has no {field} {value!r}.", _OPS,
     "Check the id in Airflow, and that its DAG processor has read the feed."),
    # --- delivery
    ("SHADOW_BATCH", STOP, "Batch {value} is not delivered: {detail}.", _FINANCE,
     "Compare with `claimpost shadow`; its sign-off lets the feed deliver."),
    ("CONTENT_CHANGED", STOP, "{field} {value!r} is already at the target with other content.", _OPS,
     "Nothing was written. Find out who wrote it; see docs/operations.md, conflicts."),
    ("LEDGER_BEHIND_TARGET", STOP, "Target {value!r} holds more than the store knows: {detail}.", _OPS,
     "Nothing was written. The store was probably restored from a backup; see docs/operations.md, conflicts."),
    ("FOUR_EYES", STOP, "Request {value} was made by {detail}: somebody else must approve it.", _OPS,
     "Have a second person approve it; nothing was changed."),
    ("NOT_DECIDABLE", STOP, "{field} {value} is nothing that people decide: {detail}.", _OPS,
     "Nothing was changed; see what it says, and docs/operations.md."),
    ("REQUEST_STALE", STOP, "Request {value} cannot be approved: {detail}.", _OPS,
     "Look again and make a new request; nothing was changed."),
    ("ANSWER_CHANGED", STOP, "The ERP gave journal {value} another answer than before: {detail}.", _OPS,
     "Nothing was changed. Ask the ERP which answer is right."),
    ("ANSWER_UNREADABLE", STOP, "The ERP's answer {file} cannot be used: {detail}.", _OPS,
     "Nothing was changed. Have the ERP write its answer again, or correct `acknowledge` in the target profile."),
    ("TARGET_CONTRACT", STOP, "{value} at the target is not as agreed: {detail}.", _ENGINEER,
     "Nothing was written. Have the ERP's owner correct that table or file, or correct the target profile."),
    ("SIMULATOR", STOP, "The sandbox ERP cannot read {file} of target {value!r}: it knows bundled target profiles only.", _ENGINEER,
     "The file is delivered. Take `simulator: yes` out of the feed; the answer is what `acknowledge` in the profile says."),
    ("TOTALS_DIFFER", STOP, "What the target holds differs from what was sent: {detail}.", _OPS,
     "Nothing was committed. Check the target's column types, then run again."),
    ("NO_ATOMIC_RENAME", STOP, "The server {value} cannot rename in one step.", _ENGINEER,
     "Use a server that offers posix-rename@openssh.com."),
    ("CONSERVATION", STOP, "Landed differs from accepted + quarantined + duplicate + superseded + withdrawn: {detail}.", _ENGINEER,
     "This is a defect of claimpost: nothing was delivered. Keep the landing folder and report it."),
    ("NOT_REACHED", RETRY, "{value} does not answer: {detail}.", _OPS, "Run it again; see the target's own status page."),
    ("RUN_OPEN", RETRY, "DAG run {value} has not ended: {detail}.", _OPS,
     "Look at the run in Airflow; then run the command again."),
    ("TARGET_BUSY", RETRY, "{value} is locked by somebody else: {detail}.", _OPS, "Run it again."),
    # --- reconciliation
    ("MISSING_IN_ERP", BREAK, "Loaded, but the ERP does not have it.", _OPS, "Ask the ERP; never send again unasked."),
    ("IN_FLIGHT", BREAK, "Loaded and not yet answered, within the agreed time.", _OPS, "Wait for the acknowledgement."),
    ("UNKNOWN_OUTCOME", BREAK, "Loaded and not answered in the agreed time.", _OPS, "Ask the ERP; never send again unasked."),
    ("REJECTED_BY_ERP", BREAK, "The ERP refused it: {detail}.", _FINANCE,
     "Correct what the ERP names there, then `claimpost release --journal`; the old batch must not be imported again."),
    ("SEQUENCE_GAP", BREAK, "The source counts its files up, and number {value} never came: it lies between {detail}.", _SOURCE,
     "Have the missing file delivered; if there never was one, name its number under source.sequence.accepted of the feed."),
    ("NOT_LANDED", BREAK, "The source lists {value} as approved; {detail} here.", _SOURCE,
     "Have it delivered; it waits in no file and no quarantine here."),
    ("LIST_DIFFERS", BREAK, "What landed comes to {detail}, the source's list says {value}.", _SOURCE,
     "Ask which is right; a corrected report must come as a new version."),
    ("NOT_LISTED", BREAK, "Report {value} is booked here, but is not in the source's list of approved reports.", _SOURCE,
     "Ask whether it was withdrawn; then have it delivered in that state."),
    ("LIST_UNREADABLE", BREAK, "The source's list at {value} cannot be used: {detail}.", _SOURCE,
     "Have the list delivered as agreed, or correct source.list of the feed; until then nobody sees what never came."),
    ("MISSING_IN_SOURCE", BREAK, "The ERP holds a journal with our mark that we never made.", _OPS,
     "Find out who entered it."),
    ("DUPLICATE_IN_ERP", BREAK, "The ERP holds the journal more than once.", _FINANCE, "Reverse the extra one in the ERP."),
    ("AMOUNT_DIFFERS", BREAK, "Amount here {detail}, in the ERP {value}.", _FINANCE, "Find the manual change in the ERP."),
    ("ACCOUNT_DIFFERS", BREAK, "Account here {detail}, in the ERP {value}.", _FINANCE, "Find the manual change in the ERP."),
    ("CURRENCY_DIFFERS", BREAK, "Currency here {detail}, in the ERP {value}.", _FINANCE, "Find the manual change in the ERP."),
    ("PERIOD_SHIFTED", BREAK, "Period here {detail}, in the ERP {value}.", _FINANCE, "Agree the period with the ERP's owner."),
    ("DATE_DIFFERS", BREAK, "Posting date here {detail}, in the ERP {value}.", _FINANCE, "Agree the date with the ERP's owner."),
    ("NOT_JOURNALED", BREAK, "Accepted, but it has no journal.", _ENGINEER, "Run the feed again."),
    ("NOT_LOADED", BREAK, "It has a journal, but was not loaded.", _OPS, "Run the feed again."),
    ("STATE_CONTRADICTED", BREAK, "Our records say {detail}, the ERP's ledger says {value}.", _OPS,
     "Ask the ERP which is true; neither release nor send it before."),
    ("COMPANY_DIFFERS", BREAK, "Company here {detail}, in the ERP {value}.", _FINANCE,
     "Have the journal moved to the right books in the ERP."),
    ("SOURCE_DIFFERS", BREAK, "The journal's total differs from the report: here {detail}, source {value}.", _ENGINEER,
     "This is a defect of claimpost or of the mapping: report it."),
    ("ARCHIVE_ALTERED", BREAK, "{field} {value} is not what was landed or sealed: {detail}.", _OPS,
     "Stop. Find out who changed the file; restore it from a backup, by its sha256."),
    ("AUDIT_BROKEN", BREAK, "{value}: {detail}.", _OPS,
     "Stop. Somebody changed the store by hand, or it was restored; compare with a backup, see docs/operations.md, verify."),
    ("FILE_DIFFERS", BREAK, "The sealed file of batch {value} does not hold its journals: {detail}.", _OPS,
     "Stop; do not let the ERP import it. Somebody changed the file, or it is a defect of claimpost: report it."),
    ("BATCH_GAP", BREAK, "Batches of {value} do not follow each other: {detail}.", _OPS,
     "Stop. A batch was removed from the store, or the store was restored; see docs/operations.md, conflicts."),
    ("MANIFEST_DIFFERS", BREAK, "Batch {value} at the target is not the sealed one: {detail}.", _OPS,
     "Stop. Find out who changed the target's rows; nothing is sent again."),
    ("REVERSAL_DIFFERS", BREAK, "Journal {value} and its reversal do not cancel out: {detail}.", _ENGINEER,
     "This is a defect of claimpost: report it."),
    ("STUCK", BREAK, "Batch {value} is {detail}.", _OPS, "Run the feed again; see the last run's error when it stays."),
    ("QUARANTINE_OLD", BREAK, "{value} waits since {detail}.", _FINANCE,
     "Mend the cause: `claimpost causes` lists what each one blocks; or discard the report."),
    # --- shadow run: ours against the legacy journal
    ("ONLY_OURS", SHADOW, "We would post it; the legacy interface did not.", _FINANCE,
     "Find out whether it missed the claim, or posted it under another reference."),
    ("ONLY_LEGACY", SHADOW, "The legacy interface posted it; we would not.", _FINANCE,
     "Look at what became of it here: `claimpost show report`."),
    ("LEGACY_TWICE", SHADOW, "The legacy journal holds it more than once.", _FINANCE, "Reverse the extra one in the ERP."),
    ("LEGACY_COMPANY", SHADOW, "It stands in the books of another company there.", _FINANCE,
     "Find out which company bears it; correct the company's alias in the profile or the source mapping."),
    ("LEGACY_PERIOD", SHADOW, "Another accounting period there.", _FINANCE,
     "Agree which date decides the period (`posting_date`, `closed_period` of the journal mapping)."),
    ("LEGACY_DATE", SHADOW, "Another posting date there, in the same period.", _FINANCE,
     "Agree the posting date, or accept it with a reason."),
    ("LEGACY_CURRENCY", SHADOW, "Another currency there.", _FINANCE,
     "If they post in the currency of the books, say `compare_in: base` in the profile."),
    ("LEGACY_DIMENSION", SHADOW, "Other dimensions there.", _FINANCE,
     "Agree the cost object; correct its table or the journal mapping."),
    ("LEGACY_ACCOUNT", SHADOW, "The same amount on another account there.", _FINANCE,
     "Agree the account; correct its row in the account table."),
    ("LEGACY_SIGN", SHADOW, "The same amount on the other side there.", _FINANCE,
     "Find out whether it is a refund; compare the reversal style."),
    ("LEGACY_SPLIT", SHADOW, "Equal sums in other lines there.", _FINANCE,
     "Accept it with a reason, or set `merge` in the journal mapping as it is there."),
    ("LEGACY_ROUNDING", SHADOW, "A difference within the agreed rounding.", _FINANCE,
     "Accept it with a reason, or agree the rounding of the journal mapping."),
    ("LEGACY_AMOUNT", SHADOW, "Another amount there.", _FINANCE,
     "Compare tax, rate and the claim's version; correct the mapping or accept it with a reason."),
    # --- refusal: what the ERP says, by the tables in mappings/codes
    ("ERP_UNMAPPED", REFUSAL, "The ERP refused it with a code that no table knows.", _OPS,
     "Read the ERP's own words; add its code to mappings/codes, then reconcile again."),
    ("ERP_OPEN", REFUSAL, "The ERP has answered, and has neither posted nor refused it.", _OPS,
     "Read the ERP's own words; never send again unasked."),
    ("ERP_PARKED", REFUSAL, "The ERP holds it as a parked or draft document.", _FINANCE,
     "Have it released and posted, or deleted, in the ERP."),
    ("ERP_SIBLING", REFUSAL, "Refused because another journal of its group was refused.", _FINANCE,
     "Nothing: it gets a new batch by itself. Have the refused group deleted in the ERP; never import it again."),
    ("ERP_PERIOD_CLOSED", REFUSAL, "The accounting period is closed in the ERP.", _FINANCE,
     "Open the period there, or agree another date; then bring our period table in line."),
    ("ERP_PERIOD_MISSING", REFUSAL, "The ERP has no such accounting period.", _FINANCE, "Have the period made in the ERP."),
    ("ERP_DATE", REFUSAL, "The ERP does not take the date.", _FINANCE,
     "Compare posting date and period; mend the calendar there, or `posting_date` in the journal mapping."),
    ("ERP_ACCOUNT_INVALID", REFUSAL, "The account is unknown in the ERP.", _FINANCE,
     "Have the account made there, or correct the account table."),
    ("ERP_ACCOUNT_INACTIVE", REFUSAL, "The account is blocked or not valid on the date in the ERP.", _FINANCE,
     "Have it unblocked there, or give the account table another account from that date."),
    ("ERP_ACCOUNT_NO_POSTING", REFUSAL, "The account takes no direct postings: it adds up others, or is kept by a subledger.",
     _FINANCE, "Correct the account table: name an account of detail."),
    ("ERP_COMBINATION", REFUSAL, "The ERP does not allow this account with these dimensions.", _FINANCE,
     "Correct the account or the cost object, or have the rule changed in the ERP."),
    ("ERP_COST_CENTER", REFUSAL, "The cost center or department is unknown, blocked or not valid on the date.", _FINANCE,
     "Have it made or opened there, or correct the cost center table."),
    ("ERP_PROJECT", REFUSAL, "The project or order is unknown or closed.", _FINANCE,
     "Have it opened there, or have the claim name another one."),
    ("ERP_DIMENSION_MISSING", REFUSAL, "The account needs a dimension that the line does not have.", _FINANCE,
     "Give the line its cost object in the journal mapping, or have the account changed in the ERP."),
    ("ERP_PARTY", REFUSAL, "The employee, vendor or customer is unknown or blocked.", _FINANCE,
     "Have the master record made or opened there."),
    ("ERP_COMPANY", REFUSAL, "The company, ledger or account book is unknown.", _ENGINEER,
     "Correct the company's attributes in the feed."),
    ("ERP_INTERCOMPANY", REFUSAL, "The companies of its lines may not be booked with each other.", _FINANCE,
     "Have the intercompany rule made in the ERP, or correct `due_to` and `due_from`."),
    ("ERP_UNBALANCED", REFUSAL, "The ERP finds debits and credits unequal.", _ENGINEER,
     "Ours are equal: look for a line that was lost or cut on the way, and report it."),
    ("ERP_BASE_AMOUNT", REFUSAL, "The amount in the currency of the books is missing or does not agree.", _FINANCE,
     "Compare rate and base currency of the company here and there."),
    ("ERP_AMOUNT", REFUSAL, "The ERP does not take the amount: too large, too many decimals, or on no one side.", _ENGINEER,
     "Compare the decimals of the currency here and there; correct the target profile."),
    ("ERP_CURRENCY", REFUSAL, "The currency is unknown or not active.", _FINANCE, "Have the currency opened in the ERP."),
    ("ERP_RATE", REFUSAL, "The ERP has no exchange rate for the date, or does not take ours.", _FINANCE,
     "Have the rate entered there; compare it with our rate table."),
    ("ERP_RATE_TYPE", REFUSAL, "The type of the exchange rate is missing or unknown.", _ENGINEER,
     "Correct the rate type in the target profile."),
    ("ERP_TAX", REFUSAL, "The tax code is unknown, or the tax does not agree with its base.", _FINANCE,
     "Compare the tax table here with the ERP's."),
    ("ERP_DUPLICATE", REFUSAL, "The ERP says that it has this journal already.", _OPS,
     "Ask the ERP for the document with our key; never send again unasked."),
    ("ERP_LINES", REFUSAL, "The document has more lines than the ERP takes.", _ENGINEER,
     "Set `journal_lines_max` in the target profile and `split` in the journal mapping."),
    ("ERP_NUMBER", REFUSAL, "The ERP cannot number the document: no interval, or it is used up.", _FINANCE,
     "Have the number range of the year extended in the ERP."),
    ("ERP_DOCUMENT_TYPE", REFUSAL, "The document type, voucher word, category or source is unknown.", _ENGINEER,
     "Correct it in the target profile, or have it made in the ERP."),
    ("ERP_FIELD_MISSING", REFUSAL, "A field that the ERP requires is empty.", _ENGINEER,
     "Fill it in the target profile; the ERP's words name it."),
    ("ERP_FIELD_INVALID", REFUSAL, "A field is too long, or not written as the ERP wants it.", _ENGINEER,
     "Correct the field in the target profile."),
    ("ERP_FORMAT", REFUSAL, "The ERP could not read what was delivered.", _ENGINEER,
     "Compare the delivered file with the ERP's form; correct the target profile."),
    ("ERP_USER", REFUSAL, "The preparer of the voucher is no user of the ERP.", _ENGINEER,
     "Name a user of the ERP in the target profile."),
    ("ERP_AUTHORITY", REFUSAL, "The user of the interface may not post this.", _OPS,
     "Have the authority given to the user of the interface."),
    ("ERP_LOCKED", REFUSAL, "It was locked by another user or run.", _OPS, "Have the import run again in the ERP."),
    ("ERP_BUDGET", REFUSAL, "Budget or commitment control refused it.", _FINANCE,
     "Have the budget raised or the control released."),
    ("ERP_APPROVAL", REFUSAL, "Somebody refused it in the ERP's own approval.", _FINANCE, "Ask who refused it, and why."),
    ("ERP_REVERSAL", REFUSAL, "The document to reverse is not there, or is reversed already.", _FINANCE,
     "Look at both documents in the ERP; have the right one reversed by hand."),
    ("ERP_SETUP", REFUSAL, "The ERP's own setup is incomplete.", _FINANCE, "Have the setup that its words name completed."),
    ("ERP_SYSTEM", REFUSAL, "The ERP failed by itself.", _OPS, "Have the import run again there; tell its administrators."),
)  # fmt: skip

# What usually causes a code; each code has one.
CAUSES: Final = {
    "transfer": "the file was damaged, cut off or mistaken on its way",
    "export": "the sender changed its export, or its program has a fault",
    "claim": "the claim was entered or approved wrongly",
    "version": "one claim came or was booked twice, or before its turn",
    "policy": "a rule of the company, or unusual figures",
    "reference": "a table here lacks a row, or is out of date",
    "mapping": "a mapping or target profile here does not fit",
    "setting": "a setting, path or command is wrong",
    "network": "another system is away, busy or not the one we know",
    "answer": "the ERP's answer is late, or says other things at two times",
    "erp_master": "the ERP's master data or calendar differs from ours",
    "erp_setup": "the ERP's setup, authority or control",
    "erp_hand": "somebody changed the ERP's books or import by hand",
    "defect": "a defect of claimpost",
    "our_hand": "a change by hand, or a restored backup",
    "legacy": "the legacy interface decided otherwise",
}
_CAUSED: Final = {
    "transfer": "EMPTY ENCODING NUL LINE_END COMPRESSION SIDECAR INCOMPLETE SYNTAX FIELD_COUNT QUOTING RECORD_COUNT "
    "BLANK_LINE CONTROL_TOTAL SEQUENCE_GAP NOT_LANDED LIST_UNREADABLE",
    "export": "SIZE CONTENT_TYPE HEADER UNKNOWN_COLUMN TYPE RECORD_MARK CODE LENGTH CONTROL_CHARACTER UNICODE INTEGER "
    "UNIDENTIFIED REPORT_HEADER LINE_REPEATED STATUS SUM",
    "claim": "MISSING MONEY PRECISION RANGE ZERO NEGATIVE CURRENCY TAX TAX_RATE SPLIT REPORT_TOTAL DATE DATE_RANGE DATE_ORDER "
    "RATE_VALUE",
    "version": "CONFLICT REVISION INVOICE_REPEATED LIST_DIFFERS NOT_LISTED",
    "policy": "POLICY APPROVAL SOD VOLUME FOUR_EYES NOT_DECIDABLE REQUEST_STALE",
    "reference": "RATE MAPPING_GAP SUSPENSE_LIMIT REFERENCE PERIOD_CLOSED COMPANY COMPANY_LEFT ROUNDING_LIMIT ROUNDING_PERIOD "
    "TABLE QUARANTINE_OLD",
    "mapping": "UNBALANCED LINES UNENCODABLE KEY_OVERFLOW YAML SCHEMA LEGACY_LINE ERP_ACCOUNT_NO_POSTING "
    "ERP_DIMENSION_MISSING ERP_COMPANY ERP_AMOUNT ERP_RATE_TYPE ERP_LINES ERP_DOCUMENT_TYPE ERP_FIELD_MISSING "
    "ERP_FIELD_INVALID ERP_FORMAT ERP_USER ERP_UNMAPPED",
    "setting": "PATH ENVIRONMENT UNKNOWN_FEED NO_MAPPINGS CONNECTION NO_INPUT SETTING SIGN_OFF NOT_FOUND NO_RUN "
    "SHADOW_BATCH NOT_LOADED NOT_JOURNALED SIMULATOR",
    "network": "HOST_KEY NO_ATOMIC_RENAME NOT_REACHED RUN_OPEN TARGET_BUSY STUCK TARGET_CONTRACT TOTALS_DIFFER ERP_LOCKED "
    "ERP_SYSTEM",
    "answer": "ANSWER_CHANGED ANSWER_UNREADABLE MISSING_IN_ERP IN_FLIGHT UNKNOWN_OUTCOME STATE_CONTRADICTED ERP_OPEN "
    "ERP_DUPLICATE",
    "erp_master": "REJECTED_BY_ERP ERP_SIBLING ERP_PERIOD_CLOSED ERP_PERIOD_MISSING ERP_DATE ERP_ACCOUNT_INVALID "
    "ERP_ACCOUNT_INACTIVE ERP_COMBINATION ERP_COST_CENTER ERP_PROJECT ERP_PARTY ERP_CURRENCY ERP_RATE ERP_BASE_AMOUNT "
    "ERP_TAX",
    "erp_setup": "ERP_PARKED ERP_INTERCOMPANY ERP_NUMBER ERP_AUTHORITY ERP_BUDGET ERP_APPROVAL ERP_SETUP",
    "erp_hand": "CONTENT_CHANGED LEDGER_BEHIND_TARGET MISSING_IN_SOURCE DUPLICATE_IN_ERP AMOUNT_DIFFERS "
    "ACCOUNT_DIFFERS CURRENCY_DIFFERS PERIOD_SHIFTED DATE_DIFFERS COMPANY_DIFFERS ERP_REVERSAL",
    "defect": "CONSERVATION SOURCE_DIFFERS REVERSAL_DIFFERS ERP_UNBALANCED",
    "our_hand": "ARCHIVE_ALTERED FILE_DIFFERS AUDIT_BROKEN BATCH_GAP MANIFEST_DIFFERS",
    "legacy": "ONLY_OURS ONLY_LEGACY LEGACY_TWICE LEGACY_COMPANY LEGACY_PERIOD LEGACY_DATE LEGACY_CURRENCY "
    "LEGACY_DIMENSION LEGACY_ACCOUNT LEGACY_SIGN LEGACY_SPLIT LEGACY_ROUNDING LEGACY_AMOUNT",
}
_CAUSE_OF: Final = {code: cause for cause, codes in _CAUSED.items() for code in codes.split()}

CATALOGUE: Final[dict[str, Entry]] = {row[0]: Entry(*row, _CAUSE_OF[row[0]]) for row in _ROWS}


class _Facts(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


def text(code: str, **facts: object) -> str:
    """The catalogue's sentence for a code, filled with facts; a missing fact shows as ?."""
    return Formatter().vformat(CATALOGUE[code].text, (), _Facts(facts))


class ClaimpostError(Exception):
    """A failure with a code of the catalogue and the facts that fill its text."""

    exit_code = 1

    def __init__(self, code: str, **facts: object) -> None:
        self.code = code
        self.facts = facts
        self.next_step = Formatter().vformat(CATALOGUE[code].next_step, (), _Facts(facts))
        super().__init__(f"{code} {text(code, **facts)} {self.next_step}")


class ConfigurationError(ClaimpostError):
    """A mapping, a setting or a connection is wrong; nothing was started."""

    exit_code = 3


class FileRejected(ClaimpostError):
    """One input file is refused as a whole; it is kept, and nothing of it was used."""

    exit_code = 4


class PermanentError(ClaimpostError):
    """The world refuses; trying again cannot help."""

    exit_code = 5


class ConflictError(PermanentError):
    """The same id stands at the target with other content; nothing was written."""


class TransientError(ClaimpostError):
    """The world is busy or away; trying again is safe."""

    exit_code = 6
