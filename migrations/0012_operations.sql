-- +goose Up

-- When reception stops (第4の5): told by the national police by a notice with a
-- number, or unavoidable for a reason. Without an agency it is everybody's.
CREATE TABLE maintenances (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} REFERENCES agencies (id),
    notice       text NOT NULL DEFAULT '',
    reason       text NOT NULL DEFAULT '',
    begins_at    {{.ts}} NOT NULL,
    ends_at      {{.ts}} NOT NULL,
    announced_by text NOT NULL,
    announced_at {{.ts}} NOT NULL,
    ended_at     {{.ts}},
    ended_by     text NOT NULL DEFAULT '',
    CHECK (begins_at < ends_at),
    CHECK ((notice = '') <> (reason = ''))
);
CREATE INDEX maintenances_by_end ON maintenances (agency_id, ends_at);

-- Whom to reach at the national police and at headquarters, and who mends (第3の1(2), 第10).
CREATE TABLE contacts (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} NOT NULL REFERENCES agencies (id),
    kind         text NOT NULL CHECK (kind IN ('FAULTS', 'NATIONAL', 'HEADQUARTERS', 'OTHER')),
    organisation text NOT NULL,
    post         text NOT NULL DEFAULT '',
    telephone    text NOT NULL DEFAULT '',
    email        text NOT NULL DEFAULT '',
    added_at     {{.ts}} NOT NULL,
    removed_at   {{.ts}}
);
CREATE INDEX contacts_by_agency ON contacts (agency_id, removed_at);

-- Faults (第10). One that the server noticed is open once for each part.
CREATE TABLE outages (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} NOT NULL REFERENCES agencies (id),
    part         text NOT NULL CHECK (part IN ('STORAGE', 'RECORDING', 'MESSAGES', 'DATABASE', 'LIVE', 'CLOCK', 'TERMINALS', 'OTHER')),
    alarm        boolean NOT NULL,
    description  text NOT NULL DEFAULT '',
    opened_by    text NOT NULL DEFAULT '',
    opened_at    {{.ts}} NOT NULL,
    seen         {{.big}} NOT NULL DEFAULT 1,
    last_seen_at {{.ts}} NOT NULL,
    closed_at    {{.ts}},
    closed_by    text NOT NULL DEFAULT '',
    outcome      text NOT NULL DEFAULT ''
);
CREATE INDEX outages_by_time ON outages (agency_id, opened_at, id);
CREATE UNIQUE INDEX outages_alarms ON outages (agency_id, part) WHERE alarm AND closed_at IS NULL;

-- Who was reached when, how, and what was said; about an outage where it was for one.
CREATE TABLE contact_notes (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    contact_id {{.uuid}} NOT NULL REFERENCES contacts (id),
    outage_id  {{.uuid}} REFERENCES outages (id),
    user_id    {{.uuid}} NOT NULL REFERENCES users (id),
    told_at    {{.ts}} NOT NULL,
    way        text NOT NULL CHECK (way IN ('PHONE', 'EMAIL', 'RADIO', 'FAX', 'IN_PERSON')),
    person     text NOT NULL DEFAULT '',
    text       text NOT NULL,
    written_at {{.ts}} NOT NULL
);
CREATE INDEX contact_notes_by_time ON contact_notes (agency_id, told_at, id);
CREATE INDEX contact_notes_by_outage ON contact_notes (outage_id, told_at);

-- What everybody has to be taught (第11), beside the courses that the program knows.
CREATE TABLE courses (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    title      text NOT NULL,
    audience   text NOT NULL CHECK (audience IN ('USERS', 'STAFF', 'EVERYBODY')),
    months     {{.big}} NOT NULL,
    added_at   {{.ts}} NOT NULL,
    retired_at {{.ts}}
);
CREATE INDEX courses_by_agency ON courses (agency_id, retired_at);

CREATE TABLE training_records (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} NOT NULL REFERENCES agencies (id),
    course       text NOT NULL,
    person_kind  text NOT NULL CHECK (person_kind IN ('USER', 'STAFF')),
    person_id    {{.uuid}} NOT NULL,
    trained_on   text NOT NULL,
    teacher      text NOT NULL DEFAULT '',
    recorded_by  text NOT NULL DEFAULT '',
    recorded_at  {{.ts}} NOT NULL,
    withdrawn_at {{.ts}},
    withdrawn_by text NOT NULL DEFAULT '',
    withdrawal   text NOT NULL DEFAULT ''
);
CREATE INDEX training_by_person ON training_records (agency_id, person_kind, person_id);
CREATE INDEX training_by_time ON training_records (agency_id, recorded_at, id);

-- Drills (第11) and the numbers that their messages may go to.
CREATE TABLE drills (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    title      text NOT NULL,
    started_by text NOT NULL,
    started_at {{.ts}} NOT NULL,
    ended_at   {{.ts}},
    ended_by   text NOT NULL DEFAULT '',
    ending     text NOT NULL DEFAULT '' CHECK (ending IN ('', 'DONE', 'STOPPED', 'RESTARTED')),
    remark     text NOT NULL DEFAULT ''
);
CREATE INDEX drills_by_time ON drills (agency_id, started_at, id);
CREATE INDEX drills_running ON drills (ended_at, agency_id);

CREATE TABLE drill_numbers (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    number     text NOT NULL,
    label      text NOT NULL,
    added_by   text NOT NULL,
    added_at   {{.ts}} NOT NULL,
    removed_at {{.ts}}
);
CREATE UNIQUE INDEX drill_numbers_listed ON drill_numbers (agency_id, number) WHERE removed_at IS NULL;

-- A caller whom the server plays: the case that it calls about and the number that it has.
CREATE TABLE drill_callers (
    id         {{.uuid}} PRIMARY KEY,
    agency_id  {{.uuid}} NOT NULL REFERENCES agencies (id),
    drill_id   {{.uuid}} NOT NULL REFERENCES drills (id),
    case_id    {{.uuid}} NOT NULL REFERENCES cases (id),
    script     text NOT NULL,
    number     text NOT NULL,
    failures   text NOT NULL DEFAULT '',
    state      text NOT NULL CHECK (state IN ('WAITING', 'PLAYING', 'PAUSED', 'OVER')),
    session_id text NOT NULL DEFAULT '',
    paused_for text NOT NULL DEFAULT '',
    changed_at {{.ts}} NOT NULL
);
CREATE INDEX drill_callers_by_drill ON drill_callers (drill_id);
CREATE UNIQUE INDEX drill_callers_by_case ON drill_callers (case_id);
CREATE INDEX drill_callers_by_state ON drill_callers (agency_id, state);
