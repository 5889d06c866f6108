/** The options of moderation: a service of the operator's that decides about messages before they are stored. */
import { choice, duration, secret, url } from './option.ts'

export const moderation = {
  beforeSendUrl: url(
    ['http:', 'https:'],
    'Where every message is posted before it is stored, for a verdict; without it nobody is asked.',
  ),
  beforeSendSecret: secret('Signs what is posted there: whsec_ and 24 to 64 bytes in base64.'),
  beforeSendTimeoutMs: duration(
    1000,
    { min: 10, max: 60_000 },
    'How long that service may take for a message; then it counts as failed.',
  ),
  beforeSendOnFailure: choice(
    'closed',
    ['closed', 'open'],
    'Without a verdict: messages are refused, to be sent again (closed), or pass (open).',
  ),
}
