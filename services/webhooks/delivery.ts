/** One POST of events to a webhook. */
import type { Delivery } from '../store/operations/operator/webhooks.ts'
import { signatureHeaders } from './signature.ts'

const USER_AGENT = 'wochat-webhooks'
const ERROR_CHARS_MAX = 200

/** A NUL stands in an id as a character, where JSON has it as an escape. */
const NUL = /\0/g

type PostSettings = { timeoutMs: number; signal: AbortSignal }

/**
 * Posts the events; resolves with null when they were taken (any status 2xx), else with why not. Nothing is followed:
 * where events go is for the operator to say.
 */
export async function postEvents(
  id: string,
  { url, secret, events }: Delivery,
  { timeoutMs, signal }: PostSettings,
): Promise<string | null> {
  const body = encodeEvents(events)
  const delivery = {
    id: `${id}_${events[0]!.seq}_${events.at(-1)!.seq}`,
    seconds: Math.floor(Date.now() / 1000),
    body,
  }
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': USER_AGENT,
        ...signatureHeaders(secret, delivery),
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
    await response.body?.cancel()
    return response.ok ? null : `it answered ${response.status}`
  } catch (error) {
    return reasonOf(error, timeoutMs).slice(0, ERROR_CHARS_MAX)
  }
}

/** `{"events": [{"seq", "at", "type", "data"}]}`; the data is JSON already. */
function encodeEvents(events: Delivery['events']): string {
  const items = events.map(({ seq, at, type, body }) => {
    return `{"seq":${seq},"at":${at},"type":${JSON.stringify(type)},"data":${body.replace(NUL, '\\u0000')}}`
  })
  return `{"events":[${items.join(',')}]}`
}

/** `fetch failed` says nothing; what failed is its cause. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError')
    return `it did not answer within ${timeoutMs} ms`
  const cause = error instanceof Error ? (error.cause ?? error) : error
  if (!(cause instanceof Error)) return String(cause)
  return cause.message || ((cause as { code?: string }).code ?? cause.name)
}
