/** Signs what is posted to webhooks, as Standard Webhooks has it: https://www.standardwebhooks.com */
import { createHmac } from 'node:crypto'

const SECRET_PREFIX = 'whsec_'

/** What is signed: the id of the delivery, the time in whole seconds since 1970, and the bytes of the body. */
type SignedDelivery = { id: string; seconds: number; body: string }

/** The headers by which a receiver knows that a delivery is ours, and no older one. */
export function signatureHeaders(
  secret: string,
  { id, seconds, body }: SignedDelivery,
): Record<string, string> {
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${mac}` }
}
