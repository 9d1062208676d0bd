// A callback as one writes it in Node: express, the `wechat` package, pg; a process per processor.
//
// It verifies, parses, and stores and folds each push in a transaction of its own. DATABASE_URL,
// WECHAT_TOKEN and PORT come from the environment.
'use strict';

const cluster = require('cluster');
const crypto = require('crypto');
const os = require('os');

const CONNECTIONS = 16;

const STORE_EVENT = `
  INSERT INTO events (account, happened_at, identity, msg_type, event, event_key, scene, openid, msg_id, body)
  VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9)
  ON CONFLICT (account, happened_at, identity) DO UPDATE SET deliveries = events.deliveries + 1
  RETURNING deliveries`;

const FOLD_INTO_FOLLOWER = `
  INSERT INTO followers AS old
    (account, openid, is_following, followed_at, unfollowed_at, last_seen_at, events, scene)
  VALUES (1, $1, $2, $3, $4, $5, 1, $6)
  ON CONFLICT (account, openid) DO UPDATE SET
    is_following = excluded.is_following,
    followed_at = GREATEST(old.followed_at, excluded.followed_at),
    unfollowed_at = GREATEST(old.unfollowed_at, excluded.unfollowed_at),
    last_seen_at = GREATEST(old.last_seen_at, excluded.last_seen_at),
    events = old.events + 1`;

function identityOf(push) {
  if (push.MsgId) return `${push.FromUserName}|${push.MsgId}`;
  const parts = [push.FromUserName, push.Event, push.EventKey || '', push.Ticket || ''];
  return crypto.createHash('sha1').update(parts.join('|')).digest('hex');
}

function sceneOf(push) {
  if (push.Event === 'subscribe') return (push.EventKey || '').replace(/^qrscene_/, '');
  return push.Event === 'SCAN' ? push.EventKey : '';
}

async function store(client, push) {
  const at = new Date(Number(push.CreateTime) * 1000);
  const scene = sceneOf(push);
  const { rows } = await client.query({
    name: 'store',
    text: STORE_EVENT,
    values: [
      at, identityOf(push), push.MsgType, push.Event || '', push.EventKey || '', scene,
      push.FromUserName, push.MsgId || '', Buffer.from(JSON.stringify(push)),
    ],
  });
  if (rows[0].deliveries > 1) return;
  const followed = push.Event === 'subscribe' ? at : null;
  const left = push.Event === 'unsubscribe' ? at : null;
  await client.query({
    name: 'fold',
    text: FOLD_INTO_FOLLOWER,
    values: [push.FromUserName, left === null, followed, left, at, scene],
  });
}

function serve() {
  const express = require('express');
  const wechat = require('wechat');
  const { Pool } = require('pg');
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: CONNECTIONS });
  const options = { token: process.env.WECHAT_TOKEN, checkSignature: true };
  const app = express();
  app.use('/wechat', wechat(options, async (request, response) => {
    let client;
    try {
      client = await pool.connect();
      await client.query('BEGIN');
      await store(client, request.weixin);
      await client.query('COMMIT');
      client.release();
      response.reply('');
    } catch (error) {
      console.error(error);
      if (client) client.release(true);
      response.statusCode = 503;
      response.end('try again');
    }
  }));
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

if (cluster.isPrimary) {
  for (const _ of os.cpus()) cluster.fork();
} else {
  serve();
}
