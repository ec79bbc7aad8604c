-- +goose Up
-- The advance report to the supervisor (第4の1(1)): what became of it. Sessions
-- from before have none that waits.
ALTER TABLE sessions ADD COLUMN report text NOT NULL DEFAULT '' CHECK (report IN ('', 'WAITING', 'ACKNOWLEDGED', 'STOPPED'));
ALTER TABLE sessions ADD COLUMN report_answered_at {{.ts}};
ALTER TABLE sessions ADD COLUMN report_answered_by text NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN report_reason text NOT NULL DEFAULT '';
CREATE INDEX sessions_by_report ON sessions (agency_id, report, requested_at);

-- When the phone said that it may not tell where it is.
ALTER TABLE sessions ADD COLUMN location_denied_at {{.ts}};

-- An access code may be renewed; its life counts from here.
ALTER TABLE links ADD COLUMN code_issued_at {{.ts}};

ALTER TABLE contact_tasks ADD COLUMN email text NOT NULL DEFAULT '';

-- Who confirmed the sending, and what the gateway calls the message.
ALTER TABLE deliveries ADD COLUMN sent_by text NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN gateway_id text NOT NULL DEFAULT '';
CREATE INDEX deliveries_by_gateway ON deliveries (gateway_id);
CREATE INDEX deliveries_by_queueing ON deliveries (agency_id, queued_at);

-- A supervisor let a case's destination get more messages than usual.
CREATE TABLE send_allowances (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id {{.uuid}} NOT NULL REFERENCES sessions (id),
    allowed_by text NOT NULL,
    reason     text NOT NULL,
    at         {{.ts}} NOT NULL
);
CREATE INDEX send_allowances_by_session ON send_allowances (session_id);

-- Why callers enter an access code or not (第5の1(2)), and when the manager is
-- reminded of it.
CREATE TABLE caller_codes (
    agency_id   {{.uuid}} PRIMARY KEY REFERENCES agencies (id),
    applied     {{.bool}} NOT NULL,
    reason      text NOT NULL,
    set_by      text NOT NULL,
    set_at      {{.ts}} NOT NULL,
    remind_at   {{.ts}},
    reminded_at {{.ts}}
);
