-- Two lanes: streams that are read by cursor, feeds of changes, resets, and connections that are
-- added while everything runs.

ALTER TABLE integrations.streams
    ADD COLUMN key        text,
    ADD COLUMN generation integer NOT NULL DEFAULT 0,
    ADD COLUMN reset_at   timestamptz,
    ADD COLUMN reset_why  text;
COMMENT ON COLUMN integrations.streams.key IS
    'What a source id is made of, as of the first commit: other key fields would be other rows.';
COMMENT ON COLUMN integrations.streams.generation IS
    'Raised by every reset: positions and landings of an earlier one count no longer.';

ALTER TABLE integrations.positions
    ALTER COLUMN landing DROP NOT NULL,
    ADD COLUMN said_at    timestamptz,
    ADD COLUMN checked_at timestamptz,
    ADD COLUMN floor_at   timestamptz;
COMMENT ON COLUMN integrations.positions.landing IS
    'What the position was committed from; null for one that a person has set.';
COMMENT ON COLUMN integrations.positions.position IS
    'Where a stream that is read by cursor goes on; null before its source has named one.';
COMMENT ON COLUMN integrations.positions.said_at IS
    'When the pull of the landing began, by the source''s clock.';
COMMENT ON COLUMN integrations.positions.checked_at IS
    'When the source last said that there is nothing after the position.';
COMMENT ON COLUMN integrations.positions.floor_at IS
    'Who was not in a complete reading stays deleted for all that was said before this.';

ALTER TABLE integrations.ledger
    ADD COLUMN withdrawn bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN integrations.ledger.withdrawn IS
    'Rows that a replay soft-deleted, since the mapping refuses now what they were made from.';

ALTER TABLE integrations.quarantine
    ADD COLUMN feed       text,
    ADD COLUMN resolution text;
COMMENT ON COLUMN integrations.quarantine.feed IS
    'The feed that said the record; null where it was pulled.';
COMMENT ON COLUMN integrations.quarantine.resolution IS
    'How an entry was closed: passed, or discarded by a person.';
UPDATE integrations.quarantine SET resolution = 'passed' WHERE closed_at IS NOT NULL;

CREATE TABLE integrations.connections (
    connector  text NOT NULL,
    connection text NOT NULL,
    config     jsonb NOT NULL,
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connector, connection)
);
COMMENT ON TABLE integrations.connections IS
    'Accounts added by command; those in connectors'' files are not here. No secret, only names.';

CREATE TABLE integrations.clocks (
    connector   text NOT NULL,
    connection  text NOT NULL,
    offset_s    double precision NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connector, connection)
);
COMMENT ON TABLE integrations.clocks IS
    'How far each source''s clock is ahead of ours, held until it moves by more than 2 s.';
