/** The options of what other systems of the operator do here: webhooks and broadcasts. */
import { choice, count, duration } from './option.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export const integration = {
  webhookTimeoutMs: duration(
    10 * SECOND,
    { min: 100, max: 5 * MINUTE },
    'How long a webhook may take to answer a delivery.',
  ),
  webhookAttemptsMax: count(
    20,
    { min: 1, max: 1000 },
    'attempts',
    'Attempts of one delivery before it is given up.',
  ),
  webhookRetryMinMs: duration(
    SECOND,
    { min: 10, max: HOUR },
    'Wait before the second attempt of a delivery; doubled for each further one.',
  ),
  webhookRetryMaxMs: duration(HOUR, { min: 10, max: DAY }, 'Longest wait between attempts of a delivery.'),
  webhookGiveUp: choice(
    'deadLetters',
    ['deadLetters', 'pause'],
    'When a delivery is given up: its events become dead letters and the webhook goes on, or it is paused.',
  ),
  eventsKeptMs: duration(
    7 * DAY,
    { min: MINUTE, max: 365 * DAY },
    'How long events for webhooks, and dead letters, are kept; delivered or not.',
  ),
  broadcastsPerSecondMax: count(
    500,
    { min: 1, max: 100_000 },
    'messages',
    'Messages that one broadcast sends in a second.',
  ),
}
