-- Endpoints that fail too often, so that all processes leave them alone for a while.

CREATE TABLE integrations.circuits (
    connector   text NOT NULL,
    connection  text NOT NULL,
    endpoint    text NOT NULL,
    counts      jsonb NOT NULL DEFAULT '{}',
    open_until  timestamptz,
    cool_s      double precision NOT NULL DEFAULT 0,
    probe_until timestamptz,
    why         text NOT NULL DEFAULT '',
    PRIMARY KEY (connector, connection, endpoint)
);
COMMENT ON TABLE integrations.circuits IS
    'The endpoints of which calls failed; one that was never in trouble has no row.';
COMMENT ON COLUMN integrations.circuits.counts IS
    'Calls and failures of late, by five seconds since 1970: {"356784000": [calls, failures]}.';
COMMENT ON COLUMN integrations.circuits.open_until IS
    'Nobody asks before, and then one call tries; null where all may ask.';
COMMENT ON COLUMN integrations.circuits.probe_until IS
    'So long the one call that tries may take; null where there is none.';
