-- What was news when a line was written, so that it can be told for a run that died before it could.

ALTER TABLE integrations.ledger ADD COLUMN drift text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN integrations.ledger.drift IS
    'What the source sent that it did not before, or does not any more, a line of words for each.';
