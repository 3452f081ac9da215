// Calls every route that the npm package braze-api has of the Braze-compatible API, asserts on the
// answers and prints a line of JSON for each: {"call": …, "answer": …}.
// Environment: BASE_URL, API_KEY, RECEIVER (a URL), CAMPAIGN and CANVAS (ids).
'use strict';

const assert = require('node:assert/strict');
const { Braze } = require('braze-api');

const { BASE_URL, API_KEY, RECEIVER, CAMPAIGN, CANVAS } = process.env;
const braze = new Braze(BASE_URL, API_KEY);

const HOUR_MS = 3_600_000;
const inHours = (hours) => new Date(Date.now() + hours * HOUR_MS).toISOString();
const webhook = (path, body) => ({
  webhook: {
    url: `${RECEIVER}${path}`,
    request_method: 'POST',
    request_headers: { 'Content-Type': 'application/json', 'X-Client': 'npm' },
    body,
  },
});

async function call(name, promise, check) {
  const answer = await promise;
  console.log(JSON.stringify({ call: name, answer }));
  check(answer);
  return answer;
}

// What is refused comes as an error with the message and the status.
async function refused(name, promise, status, message) {
  await assert.rejects(promise, (error) => {
    console.log(JSON.stringify({ call: name, status: error.status, message: error.message }));
    assert.equal(error.status, status);
    assert.match(error.message, message);
    return true;
  });
}

function dispatched(answer) {
  assert.equal(answer.message, 'success');
  assert.match(answer.dispatch_id, /^[0-9a-f-]{32,36}$/);
  assert.equal(answer.errors, undefined);
}

function scheduled(answer) {
  dispatched(answer);
  assert.match(answer.schedule_id, /^[0-9a-f-]{32,36}$/);
}

const done = (answer) => assert.equal(answer.message, 'success');

async function track() {
  const time = new Date().toISOString();
  await call('users.track', braze.users.track({
    attributes: [
      { external_id: 'npm-1', first_name: 'Ada', plan: 'gold', visits: { inc: 2 } },
      { external_id: 'npm-2', first_name: 'Ben', tags: ['a'] },
    ],
    events: [{ external_id: 'npm-1', app_id: 'app', name: 'npm_booked', time, properties: { total: 3 } }],
  }), (answer) => {
    done(answer);
    assert.equal(answer.attributes_processed, 2);
    assert.equal(answer.events_processed, 1);
  });
  await call('users.track with a bad item', braze.users.track({
    attributes: [{ external_id: 'npm-1', visits: { inc: 1 } }, { first_name: 'nobody' }],
  }), (answer) => {
    done(answer);
    assert.equal(answer.attributes_processed, 1);
    assert.equal(answer.errors.length, 1);
    assert.equal(answer.errors[0].input_array, 'attributes');
    assert.equal(answer.errors[0].index, 1);
  });
  const attributes = Array.from({ length: 76 }, (_, index) => ({ external_id: `npm-${index}` }));
  await refused('users.track with 76', braze.users.track({ attributes }), 400,
    /^Max Input Length Exceeded/);
  const purchases = [{ external_id: 'npm-1', product_id: 'p', currency: 'EUR', price: 1, time }];
  await refused('users.track with a purchase', braze.users.track({ purchases }), 400, /purchases/);
}

async function send() {
  await call('messages.send', braze.messages.send({
    external_user_ids: ['npm-1', 'npm-2'],
    messages: webhook('/npm/message', '{"name": "{{${first_name}}}", "id": "{{${user_id}}}"}'),
  }), dispatched);
  await call('campaigns.trigger.send', braze.campaigns.trigger.send({
    campaign_id: CAMPAIGN,
    trigger_properties: { source: 'npm', item: 'all' },
    recipients: [
      { external_user_id: 'npm-1', trigger_properties: { item: 'one' } },
      { external_user_id: 'npm-3', send_to_existing_only: false, attributes: { first_name: 'Cleo' } },
    ],
  }), dispatched);
  await call('canvas.trigger.send', braze.canvas.trigger.send({
    canvas_id: CANVAS,
    canvas_entry_properties: { source: 'npm', item: 'shoes' },
    recipients: [{ external_user_id: 'npm-2' }],
  }), dispatched);
  const recipients = Array.from({ length: 51 }, (_, index) => ({ external_user_id: `npm-${index}` }));
  await refused('campaigns.trigger.send with 51',
    braze.campaigns.trigger.send({ campaign_id: CAMPAIGN, recipients }), 400,
    /^The max number of external_ids and aliases per request was exceeded/);
  await refused('campaigns.trigger.send of none',
    braze.campaigns.trigger.send({ campaign_id: 'none', recipients: [{ external_user_id: 'npm-1' }] }),
    400, /^Invalid Campaign ID/);
  await refused('messages.send by push', braze.messages.send({
    external_user_ids: ['npm-1'], messages: { apple_push: { alert: 'hello' } },
  }), 400, /apple_push is out of scope/);
  await refused('messages.send to a segment', braze.messages.send({
    segment_id: 's', messages: webhook('/npm/never', 'x'),
  }), 400, /segment_id is out of scope/);
}

async function schedule() {
  const soon = { time: inHours(1) };
  const created = await call('messages.schedule.create', braze.messages.schedule.create({
    external_user_ids: ['npm-1'],
    schedule: { time: inHours(2) },
    messages: webhook('/npm/never', 'as created'),
  }), scheduled);
  await call('messages.schedule.update', braze.messages.schedule.update({
    schedule_id: created.schedule_id,
    schedule: { time: new Date(Date.now() + 2_000).toISOString() },
    messages: webhook('/npm/scheduled', '{"id": "{{${user_id}}}"}'),
  }), done);
  const cancelled = await call('messages.schedule.create', braze.messages.schedule.create({
    external_user_ids: ['npm-1'], schedule: soon, messages: webhook('/npm/never', 'cancelled'),
  }), scheduled);
  await call('messages.schedule.delete',
    braze.messages.schedule.delete({ schedule_id: cancelled.schedule_id }), done);
  await refused('messages.schedule.delete again',
    braze.messages.schedule.delete({ schedule_id: cancelled.schedule_id }), 400, /schedule_id/);
  for (const [kind, id] of [['campaigns', { campaign_id: CAMPAIGN }], ['canvas', { canvas_id: CANVAS }]]) {
    const calls = braze[kind].trigger.schedule;
    const one = await call(`${kind}.trigger.schedule.create`, calls.create({
      ...id, recipients: [{ external_user_id: 'npm-1' }], schedule: soon,
    }), scheduled);
    const schedule_id = one.schedule_id;
    await call(`${kind}.trigger.schedule.update`,
      calls.update({ ...id, schedule_id, schedule: { time: inHours(3) } }), done);
    await call(`${kind}.trigger.schedule.delete`, calls.delete({ ...id, schedule_id }), done);
  }
  await call('messages.scheduled_broadcasts',
    braze.messages.scheduled_broadcasts({ end_time: inHours(24 * 400) }), (answer) => {
      assert.ok(Array.isArray(answer.scheduled_broadcasts));
      const [broadcast] = answer.scheduled_broadcasts.filter(({ name }) => name === 'weekly');
      assert.equal(broadcast.type, 'Campaign');
      assert.ok(Date.parse(broadcast.next_send_time) > Date.now());
    });
}

async function exported() {
  await call('campaigns.list', braze.campaigns.list({ page: 0, include_archived: false }), (answer) => {
    done(answer);
    const [campaign] = answer.campaigns.filter(({ id }) => id === CAMPAIGN);
    assert.equal(campaign.name, 'order');
    assert.deepEqual(campaign.tags, ['shop']);
    assert.ok(Date.parse(campaign.last_edited) > 0);
  });
  await call('campaigns.details', braze.campaigns.details({ campaign_id: CAMPAIGN }), (answer) => {
    done(answer);
    assert.equal(answer.name, 'order');
    assert.deepEqual(answer.channels, ['webhook']);
    assert.deepEqual([answer.draft, answer.archived], [false, false]);
    const [message] = Object.values(answer.messages);
    assert.equal(message.channel, 'webhook');
    assert.equal(message.method, 'POST');
  });
  await call('canvas.list', braze.canvas.list(), (answer) => {
    done(answer);
    assert.ok(answer.canvases.some(({ id, name }) => id === CANVAS && name === 'welcome'));
  });
  await call('sends.id.create', braze.sends.id.create({ campaign_id: CAMPAIGN }), (answer) => {
    done(answer);
    assert.ok(answer.send_id.length > 0);
  });
}

async function main() {
  await track();
  await send();
  await schedule();
  await exported();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
