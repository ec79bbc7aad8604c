-- +goose Up

-- Why a colleague's report was looked at, and by which share another agency did.
ALTER TABLE viewings ADD COLUMN reason text NOT NULL DEFAULT '';
ALTER TABLE viewings ADD COLUMN share_id text NOT NULL DEFAULT '';
CREATE INDEX viewings_by_share ON viewings (share_id);
CREATE INDEX viewings_by_opening ON viewings (agency_id, opened_at);
CREATE INDEX sessions_by_dispatcher ON sessions (agency_id, dispatcher_id);

-- A word from a supervisor to the dispatcher of a session. The text goes with the case.
CREATE TABLE whispers (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id {{.uuid}} NOT NULL REFERENCES sessions (id),
    user_id    {{.uuid}} NOT NULL REFERENCES users (id),
    text       text NOT NULL,
    at         {{.ts}} NOT NULL,
    read_at    {{.ts}}
);
CREATE INDEX whispers_by_session ON whispers (session_id);

-- The duty log: written once. What is about a case goes with the case.
CREATE TABLE duty_notes (
    id        {{.uuid}} PRIMARY KEY,
    agency_id {{.uuid}} NOT NULL REFERENCES agencies (id),
    case_id   text NOT NULL DEFAULT '',
    user_id   {{.uuid}} NOT NULL REFERENCES users (id),
    text      text NOT NULL,
    at        {{.ts}} NOT NULL,
    erased_at {{.ts}}
);
CREATE INDEX duty_notes_by_time ON duty_notes (agency_id, at, id);
CREATE INDEX duty_notes_by_case ON duty_notes (case_id);

-- A session that another agency may watch for a while.
CREATE TABLE shares (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} NOT NULL REFERENCES agencies (id),
    case_id      {{.uuid}} NOT NULL REFERENCES cases (id),
    session_id   {{.uuid}} NOT NULL REFERENCES sessions (id),
    to_agency_id {{.uuid}} NOT NULL REFERENCES agencies (id),
    given_by     {{.uuid}} NOT NULL REFERENCES users (id),
    purpose      text NOT NULL CHECK (purpose IN ('INITIAL_RESPONSE', 'BY_LAW')),
    ground       text NOT NULL,
    given_at     {{.ts}} NOT NULL,
    expires_at   {{.ts}} NOT NULL,
    ended_at     {{.ts}},
    ending       text NOT NULL DEFAULT '' CHECK (ending IN ('', 'REVOKED', 'EXPIRED', 'MISDIRECTED')),
    ended_by     text NOT NULL DEFAULT ''
);
CREATE INDEX shares_by_session ON shares (session_id);
CREATE INDEX shares_given ON shares (agency_id, ended_at);
CREATE INDEX shares_received ON shares (to_agency_id, ended_at);
CREATE INDEX shares_running ON shares (ended_at, expires_at);
