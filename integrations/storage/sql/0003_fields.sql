-- What sources send, field by field, so that one that comes, goes or changes is noticed.

CREATE TABLE integrations.fields (
    connector     text NOT NULL,
    connection    text NOT NULL,
    stream        text NOT NULL,
    path          text NOT NULL,
    types         text[] NOT NULL,
    present       bigint NOT NULL,
    sampled       bigint NOT NULL,
    share         double precision GENERATED ALWAYS AS
                      (present::double precision / nullif(sampled - unseen, 0)) STORED,
    unseen        bigint NOT NULL,
    gone          boolean NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    first_run_id  text NOT NULL,
    PRIMARY KEY (connector, connection, stream, path)
);
COMMENT ON TABLE integrations.fields IS
    'The fields of a stream''s records, mapped or not, as a sample of each landing shows them.';
COMMENT ON COLUMN integrations.fields.share IS
    'Of the records looked at from when it was first seen to when it was last, how many had it.';
COMMENT ON COLUMN integrations.fields.gone IS
    'Nearly every record had it, and none of the last ones.';
