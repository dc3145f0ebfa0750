-- What the program itself must remember. Names of connectors, connections and streams are
-- written out in every row, so that a row can be read without another table.

CREATE SCHEMA IF NOT EXISTS integrations;
CREATE SCHEMA IF NOT EXISTS canonical;

CREATE TABLE integrations.migrations (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE integrations.streams (
    connector          text NOT NULL,
    connection         text NOT NULL,
    stream             text NOT NULL,
    cadence            text,
    starts_at          timestamptz,
    first_committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connector, connection, stream)
);
COMMENT ON TABLE integrations.streams IS
    'Cadence and start of a stream as of its first commit: a file that changes them is refused.';

CREATE TABLE integrations.positions (
    connector    text NOT NULL,
    connection   text NOT NULL,
    stream       text NOT NULL,
    slice        text NOT NULL DEFAULT '-',
    "window"     text NOT NULL DEFAULT '-',
    window_start timestamptz,
    window_end   timestamptz,
    generation   integer NOT NULL DEFAULT 0,
    position     jsonb,
    landing      text NOT NULL,
    run_id       text NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connector, connection, stream, slice, "window")
);
COMMENT ON TABLE integrations.positions IS
    'What is committed, one row per window (or one for a stream without): written with its rows.';

CREATE TABLE integrations.ledger (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connector      text NOT NULL,
    connection     text NOT NULL,
    stream         text NOT NULL,
    slice          text NOT NULL DEFAULT '-',
    "window"       text NOT NULL DEFAULT '-',
    landing        text,
    run_id         text NOT NULL,
    cause          text NOT NULL,
    status         text NOT NULL,
    began_at       timestamptz NOT NULL,
    ended_at       timestamptz NOT NULL,
    records        bigint NOT NULL DEFAULT 0,
    received       bigint NOT NULL DEFAULT 0,
    inserted       bigint NOT NULL DEFAULT 0,
    updated        bigint NOT NULL DEFAULT 0,
    unchanged      bigint NOT NULL DEFAULT 0,
    stale          bigint NOT NULL DEFAULT 0,
    duplicate      bigint NOT NULL DEFAULT 0,
    filtered       bigint NOT NULL DEFAULT 0,
    quarantined    bigint NOT NULL DEFAULT 0,
    deleted        bigint NOT NULL DEFAULT 0,
    absent_deleted bigint NOT NULL DEFAULT 0,
    in_window      bigint,
    api_calls      bigint NOT NULL DEFAULT 0,
    bytes          bigint NOT NULL DEFAULT 0,
    seconds        double precision NOT NULL DEFAULT 0,
    error          text
);
CREATE INDEX ledger_of_stream ON integrations.ledger (connector, connection, stream, id DESC);
CREATE INDEX ledger_of_run ON integrations.ledger (run_id);
COMMENT ON TABLE integrations.ledger IS
    'The counts of every sync: received is the sum of the fates after it, up to deleted.';

CREATE TABLE integrations.quarantine (
    connector  text NOT NULL,
    connection text NOT NULL,
    stream     text NOT NULL,
    key        text NOT NULL,
    kind       text NOT NULL,
    field      text,
    rule       text,
    reason     text NOT NULL,
    raw        bytea NOT NULL,
    landing    text,
    run_id     text NOT NULL,
    said_at    timestamptz NOT NULL,
    first_at   timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz NOT NULL DEFAULT now(),
    times      integer NOT NULL DEFAULT 1,
    closed_at  timestamptz,
    PRIMARY KEY (connector, connection, stream, key)
);
CREATE INDEX quarantine_of_run ON integrations.quarantine (run_id);
COMMENT ON COLUMN integrations.quarantine.said_at IS
    'When the source said what the entry stands by, the refused record or the success that closed it.';
COMMENT ON TABLE integrations.quarantine IS
    'Records that could not pass, with the reason and their bytes; a later success closes an entry.';
