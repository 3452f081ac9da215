// Verifies webhooks, one a line of JSON on standard input: `v1` with the reference package, `v1a` and
// bodies that are no text with node's own crypto, since the package has neither. Prints `ok` or
// `refused` for each.
'use strict'
const crypto = require('crypto')
const { Webhook } = require('standardwebhooks')

function content (item, body) {
  return Buffer.concat([Buffer.from(`${item.id}.${item.timestamp}.`), body])
}

function fits (item, version, check) {
  return item.signature.split(' ').some(text => {
    const [given, signature] = text.split(',')
    return given === version && check(Buffer.from(signature, 'base64'))
  })
}

function verify (item) {
  const body = Buffer.from(item.body_base64, 'base64')
  if (item.key.startsWith('whpk_')) {
    // An ed25519 key as DER: the fixed head of RFC 8410 and 32 bytes.
    const der = Buffer.concat([
      Buffer.from('302a300506032b6570032100', 'hex'),
      Buffer.from(item.key.slice('whpk_'.length), 'base64')
    ])
    const key = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' })
    return fits(item, 'v1a', given => crypto.verify(null, content(item, body), key, given))
  }
  if (item.binary) {
    const key = Buffer.from(item.key.slice('whsec_'.length), 'base64')
    const code = crypto.createHmac('sha256', key).update(content(item, body)).digest()
    return fits(item, 'v1', given => given.equals(code))
  }
  new Webhook(item.key).verify(body.toString(), {
    'webhook-id': item.id,
    'webhook-timestamp': item.timestamp,
    'webhook-signature': item.signature
  }, { jsonParse: false })
  return true
}

for (const line of require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  let right = false
  try { right = verify(JSON.parse(line)) } catch (error) {
    if (error.name !== 'WebhookVerificationError') throw error
  }
  console.log(right ? 'ok' : 'refused')
}
