-- The one budget of all processes that use a connection.

CREATE TABLE integrations.quotas (
    connector  text NOT NULL,
    connection text NOT NULL,
    state      jsonb NOT NULL DEFAULT '{}',
    until      timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connector, connection)
) WITH (fillfactor = 50);
COMMENT ON TABLE integrations.quotas IS
    'What is used, left and leased of the quotas that a source tells of or its file declares.';
COMMENT ON COLUMN integrations.quotas.state IS
    'As error_handling/budget.py has it; its times are seconds since 1970 by this server.';
COMMENT ON COLUMN integrations.quotas.until IS
    'From then on the state says nothing any more.';
