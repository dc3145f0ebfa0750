-- The files and objects of sources that keep their records in such, one line for each reading.

CREATE TABLE integrations.files (
    connector   text NOT NULL,
    connection  text NOT NULL,
    stream      text NOT NULL,
    path        text NOT NULL,
    read_at     timestamptz NOT NULL,
    state       text NOT NULL CHECK (state IN ('loaded', 'refused', 'waiting')),
    reason      text NOT NULL,
    size        bigint NOT NULL,
    modified_at timestamptz,
    hash        text NOT NULL,
    records     bigint NOT NULL,
    run_id      text NOT NULL,
    PRIMARY KEY (connector, connection, stream, path, read_at)
);
COMMENT ON TABLE integrations.files IS
    'What became of each file that was seen; its rows have the time of their reading as _seen_at.';
COMMENT ON COLUMN integrations.files.reason IS
    'Why it is refused or left alone, or what is odd about one that is loaded.';

ALTER TABLE integrations.ledger
    ADD COLUMN files integer NOT NULL DEFAULT 0,
    ADD COLUMN files_refused integer NOT NULL DEFAULT 0,
    ADD COLUMN files_waiting integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN integrations.ledger.files IS
    'The files whose records the line counts; beside them those refused, and those left alone.';
