BEGIN TRANSACTION;
CREATE TABLE acknowledgement (
	content_hash VARCHAR(64) NOT NULL, 
	batch_id VARCHAR(50) NOT NULL, 
	posted BIGINT NOT NULL, 
	rejected BIGINT NOT NULL, 
	received_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (batch_id, content_hash)
);
CREATE TABLE batch (
	batch_id VARCHAR(50) NOT NULL, 
	batch_no BIGINT NOT NULL, 
	feed_id VARCHAR(64) NOT NULL, 
	target VARCHAR(64) NOT NULL, 
	seq BIGINT NOT NULL, 
	company VARCHAR(64) NOT NULL, 
	period VARCHAR(7) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	folder TEXT NOT NULL, 
	journals BIGINT NOT NULL, 
	lines BIGINT NOT NULL, 
	totals TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	epoch BIGINT NOT NULL, 
	token VARCHAR(128) NOT NULL, 
	run_id VARCHAR(128) NOT NULL, 
	sealed_at VARCHAR(32) NOT NULL, 
	published_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (batch_id), 
	UNIQUE (target, seq), 
	UNIQUE (target, batch_no), 
	CHECK (state IN ('sealed', 'publishing', 'published', 'acknowledged', 'reconciled')), 
	CHECK (length(sha256) = 64 AND batch_no > 0 AND batch_no <= 1000000000000000 AND journals > 0)
);
CREATE TABLE batch_event (
	id INTEGER NOT NULL, 
	batch_id VARCHAR(50) NOT NULL, 
	event VARCHAR(40) NOT NULL, 
	detail TEXT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE batch_member (
	batch_id VARCHAR(50) NOT NULL, 
	journal_key VARCHAR(16) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	erp_document VARCHAR(128) NOT NULL, 
	code VARCHAR(64) NOT NULL, 
	message TEXT NOT NULL, 
	PRIMARY KEY (batch_id, journal_key), 
	FOREIGN KEY(batch_id) REFERENCES batch (batch_id), 
	FOREIGN KEY(journal_key) REFERENCES journal (journal_key), 
	CHECK (state IN ('sealed', 'posted', 'rejected', 'unknown', 'void'))
);
CREATE TABLE comparison (
	id INTEGER NOT NULL, 
	feed_id VARCHAR(64) NOT NULL, 
	period VARCHAR(7) NOT NULL, 
	profile VARCHAR(64) NOT NULL, 
	mapping_digest VARCHAR(64) NOT NULL, 
	landings_digest VARCHAR(64) NOT NULL, 
	legacy_sha256 VARCHAR(64) NOT NULL, 
	counts TEXT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE invoice (
	invoice_key VARCHAR(64) NOT NULL, 
	source_system VARCHAR(64) NOT NULL, 
	company VARCHAR(64) NOT NULL, 
	report_id VARCHAR(200) NOT NULL, 
	report_version VARCHAR(200) NOT NULL, 
	run_id VARCHAR(128) NOT NULL, 
	PRIMARY KEY (source_system, invoice_key, company, report_id, report_version), 
	CHECK (length(invoice_key) = 64)
);
CREATE TABLE journal (
	journal_id VARCHAR(64) NOT NULL, 
	journal_key VARCHAR(16) NOT NULL, 
	company VARCHAR(64) NOT NULL, 
	report_id VARCHAR(200) NOT NULL, 
	report_version VARCHAR(200) NOT NULL, 
	purpose VARCHAR(40) NOT NULL, 
	employee_id VARCHAR(200) NOT NULL, 
	document_date VARCHAR(10) NOT NULL, 
	posting_date VARCHAR(10) NOT NULL, 
	original_date VARCHAR(10) NOT NULL, 
	period VARCHAR(7) NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	base_currency VARCHAR(3) NOT NULL, 
	rate VARCHAR(40) NOT NULL, 
	rate_date VARCHAR(10) NOT NULL, 
	rate_source TEXT NOT NULL, 
	description TEXT NOT NULL, 
	lines BIGINT NOT NULL, 
	debit_minor BIGINT NOT NULL, 
	base_debit_minor BIGINT NOT NULL, 
	rounding_minor BIGINT NOT NULL, 
	belongs_to VARCHAR(16) NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	reversal_of VARCHAR(16) NOT NULL, 
	feed_id VARCHAR(64) NOT NULL, 
	source_system VARCHAR(64) NOT NULL, 
	mapping_digest VARCHAR(64) NOT NULL, 
	code_version VARCHAR(40) NOT NULL, 
	made_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (journal_key), 
	CHECK (length(journal_key) = 16 AND length(journal_id) = 64), 
	CHECK (lines > 0)
);
CREATE TABLE landing (
	feed_id VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	totals TEXT NOT NULL, 
	reason VARCHAR(40) NOT NULL, 
	seq BIGINT NOT NULL, 
	landed_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (feed_id, sha256), 
	UNIQUE (seq), 
	CHECK (state IN ('landed', 'built', 'held', 'rejected', 'duplicate')), 
	CHECK (length(sha256) = 64 AND size >= 0)
);
CREATE TABLE outcome (
	feed_id VARCHAR(64) NOT NULL, 
	landing_sha256 VARCHAR(64) NOT NULL, 
	source_system VARCHAR(64) NOT NULL, 
	company VARCHAR(64) NOT NULL, 
	report_id VARCHAR(200) NOT NULL, 
	report_version VARCHAR(200) NOT NULL, 
	document_currency VARCHAR(3) NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	lines BIGINT NOT NULL, 
	gross_minor BIGINT NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	business_hash VARCHAR(64) NOT NULL, 
	journal_key VARCHAR(16) NOT NULL, 
	run_id VARCHAR(128) NOT NULL, 
	PRIMARY KEY (feed_id, landing_sha256, company, report_id, report_version, document_currency), 
	FOREIGN KEY(feed_id, landing_sha256) REFERENCES landing (feed_id, sha256), 
	CHECK (outcome IN ('accepted', 'quarantined', 'duplicate', 'superseded', 'withdrawn')), 
	CHECK (lines >= 0)
);
CREATE TABLE receipt (
	id INTEGER NOT NULL, 
	feed_id VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	received_at VARCHAR(32) NOT NULL, 
	run_id VARCHAR(128) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(feed_id, sha256) REFERENCES landing (feed_id, sha256)
);
CREATE TABLE reconciliation (
	id INTEGER NOT NULL, 
	feed_id VARCHAR(64) NOT NULL, 
	period VARCHAR(7) NOT NULL, 
	totals TEXT NOT NULL, 
	breaks TEXT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE reject (
	id INTEGER NOT NULL, 
	feed_id VARCHAR(64) NOT NULL, 
	landing_sha256 VARCHAR(64) NOT NULL, 
	run_id VARCHAR(128) NOT NULL, 
	rejected_at VARCHAR(32) NOT NULL, 
	company VARCHAR(64) NOT NULL, 
	report_id VARCHAR(200) NOT NULL, 
	report_version VARCHAR(200) NOT NULL, 
	line_no BIGINT NOT NULL, 
	source_row BIGINT NOT NULL, 
	code VARCHAR(40) NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	field VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	next_step TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(feed_id, landing_sha256) REFERENCES landing (feed_id, sha256)
);
CREATE TABLE run (
	run_id VARCHAR(128) NOT NULL, 
	feed_id VARCHAR(64) NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	finished_at VARCHAR(32) NOT NULL, 
	summary TEXT NOT NULL, 
	conservation TEXT NOT NULL, 
	PRIMARY KEY (run_id)
);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(2);
CREATE TABLE sign_off (
	feed_id VARCHAR(64) NOT NULL, 
	period VARCHAR(7) NOT NULL, 
	profile VARCHAR(64) NOT NULL, 
	mapping_digest VARCHAR(64) NOT NULL, 
	legacy_sha256 VARCHAR(64) NOT NULL, 
	counts TEXT NOT NULL, 
	signed_by VARCHAR(128) NOT NULL, 
	reason TEXT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (feed_id)
);
CREATE TABLE watermark (
	feed_id VARCHAR(64) NOT NULL, 
	updated_at VARCHAR(32) NOT NULL, 
	report_id VARCHAR(200) NOT NULL, 
	PRIMARY KEY (feed_id)
);
CREATE INDEX landing_fingerprint ON landing (feed_id, fingerprint);
CREATE INDEX journal_period ON journal (feed_id, period);
CREATE INDEX journal_report ON journal (report_id);
CREATE INDEX batch_period ON batch (feed_id, period);
CREATE INDEX batch_event_batch ON batch_event (batch_id);
CREATE INDEX run_feed ON run (feed_id, started_at);
CREATE INDEX reconciliation_feed ON reconciliation (feed_id, period);
CREATE INDEX comparison_feed ON comparison (feed_id, period);
CREATE INDEX outcome_run ON outcome (run_id);
CREATE INDEX outcome_report ON outcome (report_id);
CREATE INDEX reject_landing ON reject (feed_id, landing_sha256);
CREATE INDEX reject_report ON reject (report_id);
CREATE UNIQUE INDEX outcome_accepted_once ON outcome (source_system, company, report_id, report_version, document_currency) WHERE outcome = 'accepted';
CREATE UNIQUE INDEX batch_member_live_once ON batch_member (journal_key) WHERE NOT (state IN ('rejected', 'void'));
CREATE UNIQUE INDEX journal_reversed_once ON journal (reversal_of, report_id) WHERE reversal_of <> '';
CREATE TRIGGER landing_delete_0 BEFORE DELETE ON landing WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'landing is never deleted from'); END;
CREATE TRIGGER outcome_delete_1 BEFORE DELETE ON outcome WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'outcome is never deleted from'); END;
CREATE TRIGGER journal_delete_2 BEFORE DELETE ON journal WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'journal is never deleted from'); END;
CREATE TRIGGER batch_delete_3 BEFORE DELETE ON batch WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'batch is never deleted from'); END;
CREATE TRIGGER batch_member_delete_4 BEFORE DELETE ON batch_member WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'batch_member is never deleted from'); END;
CREATE TRIGGER run_delete_5 BEFORE DELETE ON run WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'run is never deleted from'); END;
CREATE TRIGGER receipt_delete_6 BEFORE DELETE ON receipt WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'receipt is never deleted from'); END;
CREATE TRIGGER reject_delete_7 BEFORE DELETE ON reject WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'reject is never deleted from'); END;
CREATE TRIGGER invoice_delete_8 BEFORE DELETE ON invoice WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'invoice is never deleted from'); END;
CREATE TRIGGER batch_event_delete_9 BEFORE DELETE ON batch_event WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'batch_event is never deleted from'); END;
CREATE TRIGGER acknowledgement_delete_10 BEFORE DELETE ON acknowledgement WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'acknowledgement is never deleted from'); END;
CREATE TRIGGER reconciliation_delete_11 BEFORE DELETE ON reconciliation WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'reconciliation is never deleted from'); END;
CREATE TRIGGER comparison_delete_12 BEFORE DELETE ON comparison WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'comparison is never deleted from'); END;
CREATE TRIGGER sign_off_delete_13 BEFORE DELETE ON sign_off WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'sign_off is never deleted from'); END;
CREATE TRIGGER receipt_update_14 BEFORE UPDATE ON receipt WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'receipt is append-only'); END;
CREATE TRIGGER reject_update_15 BEFORE UPDATE ON reject WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'reject is append-only'); END;
CREATE TRIGGER invoice_update_16 BEFORE UPDATE ON invoice WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'invoice is append-only'); END;
CREATE TRIGGER batch_event_update_17 BEFORE UPDATE ON batch_event WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'batch_event is append-only'); END;
CREATE TRIGGER acknowledgement_update_18 BEFORE UPDATE ON acknowledgement WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'acknowledgement is append-only'); END;
CREATE TRIGGER reconciliation_update_19 BEFORE UPDATE ON reconciliation WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'reconciliation is append-only'); END;
CREATE TRIGGER comparison_update_20 BEFORE UPDATE ON comparison WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'comparison is append-only'); END;
CREATE TRIGGER sign_off_update_21 BEFORE UPDATE ON sign_off WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'sign_off is append-only'); END;
CREATE TRIGGER journal_update_22 BEFORE UPDATE ON journal WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;
CREATE TRIGGER landing_update_23 BEFORE UPDATE ON landing WHEN OLD.feed_id <> NEW.feed_id OR OLD.sha256 <> NEW.sha256 OR OLD.size <> NEW.size OR OLD.seq <> NEW.seq BEGIN SELECT RAISE(ABORT, 'landing: this column is fixed'); END;
CREATE TRIGGER batch_update_24 BEFORE UPDATE ON batch WHEN OLD.batch_id <> NEW.batch_id OR OLD.batch_no <> NEW.batch_no OR OLD.feed_id <> NEW.feed_id OR OLD.target <> NEW.target OR OLD.seq <> NEW.seq OR OLD.company <> NEW.company OR OLD.period <> NEW.period OR OLD.sha256 <> NEW.sha256 OR OLD.journals <> NEW.journals OR OLD.lines <> NEW.lines BEGIN SELECT RAISE(ABORT, 'batch: this column is fixed'); END;
CREATE TRIGGER batch_member_update_25 BEFORE UPDATE ON batch_member WHEN OLD.batch_id <> NEW.batch_id OR OLD.journal_key <> NEW.journal_key BEGIN SELECT RAISE(ABORT, 'batch_member: this column is fixed'); END;
CREATE TRIGGER outcome_update_26 BEFORE UPDATE ON outcome WHEN OLD.feed_id <> NEW.feed_id OR OLD.landing_sha256 <> NEW.landing_sha256 OR OLD.source_system <> NEW.source_system OR OLD.company <> NEW.company OR OLD.report_id <> NEW.report_id OR OLD.report_version <> NEW.report_version OR OLD.document_currency <> NEW.document_currency BEGIN SELECT RAISE(ABORT, 'outcome: this column is fixed'); END;
CREATE TRIGGER landing_update_27 BEFORE UPDATE ON landing WHEN OLD.state <> NEW.state AND NOT ((OLD.state = 'landed' AND NEW.state = 'built') OR (OLD.state = 'landed' AND NEW.state = 'held') OR (OLD.state = 'landed' AND NEW.state = 'rejected') OR (OLD.state = 'landed' AND NEW.state = 'duplicate') OR (OLD.state = 'held' AND NEW.state = 'built') OR (OLD.state = 'held' AND NEW.state = 'landed') OR (OLD.state = 'held' AND NEW.state = 'rejected') OR (OLD.state = 'rejected' AND NEW.state = 'landed') OR (OLD.state = 'built' AND NEW.state = 'landed')) BEGIN SELECT RAISE(ABORT, 'landing: no such step'); END;
CREATE TRIGGER batch_update_28 BEFORE UPDATE ON batch WHEN OLD.state <> NEW.state AND NOT ((OLD.state = 'sealed' AND NEW.state = 'publishing') OR (OLD.state = 'publishing' AND NEW.state = 'published') OR (OLD.state = 'published' AND NEW.state = 'acknowledged') OR (OLD.state = 'acknowledged' AND NEW.state = 'reconciled')) BEGIN SELECT RAISE(ABORT, 'batch: no such step'); END;
CREATE TRIGGER batch_member_update_29 BEFORE UPDATE ON batch_member WHEN OLD.state <> NEW.state AND NOT ((OLD.state = 'sealed' AND NEW.state = 'posted') OR (OLD.state = 'sealed' AND NEW.state = 'rejected') OR (OLD.state = 'sealed' AND NEW.state = 'unknown') OR (OLD.state = 'sealed' AND NEW.state = 'void') OR (OLD.state = 'unknown' AND NEW.state = 'posted') OR (OLD.state = 'unknown' AND NEW.state = 'rejected') OR (OLD.state = 'unknown' AND NEW.state = 'void') OR (OLD.state = 'rejected' AND NEW.state = 'posted') OR (OLD.state = 'rejected' AND NEW.state = 'void')) BEGIN SELECT RAISE(ABORT, 'batch_member: no such step'); END;
CREATE TRIGGER outcome_update_30 BEFORE UPDATE ON outcome WHEN OLD.outcome <> 'quarantined' BEGIN SELECT RAISE(ABORT, 'outcome: only a quarantined one may change'); END;
COMMIT;
