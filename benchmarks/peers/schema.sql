-- The tables of the peers in Go and Node: a log under a unique key with three more indexes, and followers.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account integer NOT NULL,
    happened_at timestamptz NOT NULL,
    identity text NOT NULL,
    msg_type text NOT NULL,
    event text NOT NULL,
    event_key text NOT NULL,
    scene text NOT NULL,
    openid text NOT NULL,
    msg_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    deliveries integer NOT NULL DEFAULT 1,
    body bytea NOT NULL,
    UNIQUE (account, happened_at, identity)
);
CREATE INDEX ON events (openid, id);
CREATE INDEX ON events (event, id);
CREATE INDEX ON events (received_at);

CREATE TABLE followers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account integer NOT NULL,
    openid text NOT NULL,
    is_following boolean NOT NULL DEFAULT false,
    followed_at timestamptz,
    unfollowed_at timestamptz,
    last_seen_at timestamptz,
    events integer NOT NULL DEFAULT 0,
    scene text NOT NULL DEFAULT '',
    UNIQUE (account, openid)
);
