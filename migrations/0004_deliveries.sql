-- +goose Up
CREATE TABLE deliveries (
    id           {{.uuid}} PRIMARY KEY,
    agency_id    {{.uuid}} NOT NULL REFERENCES agencies (id),
    session_id   {{.uuid}} NOT NULL REFERENCES sessions (id),
    link_id      {{.uuid}} REFERENCES links (id),
    purpose      text NOT NULL CHECK (purpose IN ('LINK', 'CORRECTION')),
    channel      text NOT NULL CHECK (channel IN ('SMS', 'EMAIL')),
    address      text NOT NULL,
    body_sealed  {{.bytes}},
    status       text NOT NULL CHECK (status IN ('QUEUED', 'SENT', 'DELIVERED', 'FAILED', 'CANCELLED')),
    failure      text NOT NULL DEFAULT '',
    idempotency  text NOT NULL UNIQUE,
    attempts     {{.big}} NOT NULL DEFAULT 0,
    queued_at    {{.ts}} NOT NULL,
    next_at      {{.ts}} NOT NULL,
    sent_at      {{.ts}},
    delivered_at {{.ts}}
);
CREATE INDEX deliveries_by_session ON deliveries (session_id);
CREATE INDEX deliveries_due ON deliveries (status, next_at);
