-- +goose Up
CREATE TABLE journal_heads (
    agency_id {{.uuid}} PRIMARY KEY,
    number    {{.big}} NOT NULL,
    hash      {{.bytes}} NOT NULL,
    positions {{.big}} NOT NULL DEFAULT 0
);

-- Append-only. What it says about people stands in journal_payloads alone.
CREATE TABLE journal_entries (
    agency_id    {{.uuid}} NOT NULL,
    number       {{.big}} NOT NULL,
    at           {{.ts}} NOT NULL,
    actor_kind   text NOT NULL,
    actor_id     text NOT NULL,
    actor_role   text NOT NULL,
    type         text NOT NULL,
    subject_kind text NOT NULL,
    subject_id   text NOT NULL,
    case_id      text NOT NULL,
    session_id   text NOT NULL,
    payload_hash {{.bytes}} NOT NULL,
    prev_hash    {{.bytes}} NOT NULL,
    hash         {{.bytes}} NOT NULL,
    PRIMARY KEY (agency_id, number)
);
CREATE INDEX journal_by_session ON journal_entries (agency_id, session_id, number);
CREATE INDEX journal_by_case ON journal_entries (agency_id, case_id, number);

-- Salt and payload, exactly as hashed; retention empties this table.
CREATE TABLE journal_payloads (
    agency_id {{.uuid}} NOT NULL,
    number    {{.big}} NOT NULL,
    salt      {{.bytes}} NOT NULL,
    payload   {{.bytes}} NOT NULL,
    PRIMARY KEY (agency_id, number)
);

{{if eq .dialect "postgres"}}
-- +goose StatementBegin
CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only';
END $$;
-- +goose StatementEnd
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal_entries
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();
{{else}}
-- +goose StatementBegin
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal_entries
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal_entries
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- +goose StatementEnd
{{end}}
