/** Admin operations of webhooks: who is told what happens here. docs/integration.md says how deliveries look. */
import { type Static, Type } from 'typebox'
import { request } from '../catalogue/operation.ts'
import { EVENT_FAMILIES } from '../events.ts'
import { define } from './operation.ts'

export const WEBHOOKS_MAX = 100
const DEAD_LETTERS_PAGE_MAX = 100
const EVENTS_MAX = 50
const URL_CHARS_MAX = 2000

const WebhookId = Type.String({
  pattern: '^[A-Za-z0-9_-]{1,64}$',
  description: 'A webhook, by the name that it was given.',
})
const Url = Type.String({
  pattern: '^https?://[^\\s]+$',
  maxLength: URL_CHARS_MAX,
  description: 'Where events are posted. It may be in a private network; redirects are not followed.',
})
const Events = Type.Array(
  Type.String({ pattern: `^(\\*|(${EVENT_FAMILIES.join('|')})\\.(\\*|[a-z_.]{1,64}))$` }),
  {
    minItems: 1,
    maxItems: EVENTS_MAX,
    uniqueItems: true,
    description: 'Types of events: `message.stored`, all of a family as `group.*`, or `*` for everything.',
  },
)
const Secret = Type.String({
  pattern: '^whsec_[A-Za-z0-9+/]{32,86}={0,2}$',
  description: 'Signs deliveries: `whsec_` and 24 to 64 bytes in base64. Made if not given.',
})
const Time = (description: string) => Type.Integer({ description: `${description} ms since 1970.` })
const EventSeq = Type.Integer({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'The seq of the event to begin at.',
})

export const WebhookRow = Type.Object({
  id: Type.String(),
  url: Type.String(),
  events: Type.Array(Type.String()),
  paused: Type.Boolean({ description: 'Nothing is delivered; events wait for as long as they are kept.' }),
  acked: Type.Integer({
    description: 'Every event up to this seq is delivered, a dead letter, or not asked for.',
  }),
  lag: Type.Integer({ description: 'Events of all types after it.' }),
  attempts: Type.Integer({ description: 'Failed attempts of the batch that is next.' }),
  nextAt: Type.Union([Time('Of the next attempt, after a failed one,'), Type.Null()]),
  lastError: Type.Union([Type.String(), Type.Null()]),
  deadLetters: Type.Integer(),
  madeAt: Time('When it was added,'),
})
export type WebhookRow = Static<typeof WebhookRow>

export const webhookOperations = {
  webhooks: define({
    summary: 'The webhooks, how far each is, and what went wrong last.',
    kind: 'read',
    positional: [],
    params: request({}),
    result: Type.Object({
      head: Type.Integer({ description: 'The seq of the last event.' }),
      webhooks: Type.Array(WebhookRow),
    }),
    errors: [],
  }),
  addWebhook: define({
    summary: 'Posts events to an URL from now on, in their order and at least once.',
    kind: 'change',
    positional: ['id', 'url'],
    params: request({ id: WebhookId, url: Url, events: Events, secret: Type.Optional(Secret) }),
    result: Type.Object({
      id: Type.String(),
      secret: Type.String({ description: 'Shown this once.' }),
      acked: Type.Integer({ description: 'The first event that it gets comes after this seq.' }),
    }),
    errors: ['id_conflict', 'too_many_webhooks'],
    unlogged: ['secret'],
  }),
  updateWebhook: define({
    summary: 'Changes what is given of a webhook; a batch that is under way still goes the old way.',
    kind: 'change',
    positional: ['id', 'url'],
    params: request({
      id: WebhookId,
      url: Type.Optional(Url),
      events: Type.Optional(Events),
      secret: Type.Optional(Secret),
    }),
    result: Type.Object({ id: Type.String() }),
    errors: ['unknown_webhook'],
    unlogged: ['secret'],
  }),
  removeWebhook: define({
    summary: 'Ends a webhook, with its dead letters.',
    kind: 'change',
    positional: ['id'],
    params: request({ id: WebhookId }),
    result: Type.Object({ id: Type.String() }),
    errors: ['unknown_webhook'],
  }),
  pauseWebhook: define({
    summary: 'Delivers nothing more until it is resumed; events wait.',
    kind: 'change',
    positional: ['id'],
    params: request({ id: WebhookId }),
    result: Type.Object({ id: Type.String() }),
    errors: ['unknown_webhook'],
  }),
  resumeWebhook: define({
    summary: 'Goes on where it was paused, at once, with its attempts counted anew.',
    kind: 'change',
    positional: ['id'],
    params: request({ id: WebhookId }),
    result: Type.Object({ id: Type.String() }),
    errors: ['unknown_webhook'],
  }),
  replayWebhook: define({
    summary: 'Delivers again from an event on; what is not kept any more is left out.',
    kind: 'change',
    positional: ['id', 'from'],
    params: request({ id: WebhookId, from: EventSeq }),
    result: Type.Object({
      id: Type.String(),
      from: Type.Integer({ description: 'The seq that it really begins at.' }),
    }),
    errors: ['unknown_webhook'],
  }),
  deadLetters: define({
    summary: 'Events that a webhook did not take after all attempts, the oldest first.',
    kind: 'read',
    positional: ['id'],
    params: request({
      id: WebhookId,
      cursor: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'Where the page before ended.',
        }),
      ),
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: DEAD_LETTERS_PAGE_MAX, description: '100 if not given.' }),
      ),
    }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          seq: Type.Integer(),
          type: Type.String(),
          eventAt: Time('When it happened,'),
          at: Time('When it was given up,'),
          attempts: Type.Integer(),
          error: Type.String({ description: 'Of the last attempt.' }),
        }),
      ),
      cursor: Type.Optional(Type.Integer({ description: 'Where the next page begins, if there is one.' })),
    }),
    errors: ['unknown_webhook'],
  }),
  retryDeadLetters: define({
    summary:
      'Delivers the dead letters of a webhook once more; those that it does not take stay what they are.',
    kind: 'change',
    positional: ['id'],
    params: request({ id: WebhookId }),
    result: Type.Object({ letters: Type.Integer({ description: 'How many will be tried.' }) }),
    errors: ['unknown_webhook'],
  }),
} as const
