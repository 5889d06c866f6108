/** Posts each code to an HTTP endpoint of the operator, which sends it on. */
import { createHmac } from 'node:crypto'
import type { Logger } from 'pino'
import { WochatError } from '../../../protocol/errors.ts'
import type { CodeMessage, SmsProvider } from './provider.ts'

type WebhookSettings = {
  url: string
  /**
   * Signs what is posted, when set: `x-wochat-signature: sha256={hex}` is the HMAC-SHA256 of
   * `{x-wochat-timestamp}.{body}`; the timestamp is in ms since 1970.
   */
  secret: string | null
  timeoutMs?: number
  log: Pick<Logger, 'warn'>
  now?: () => number
}

const TIMEOUT_MS = 5000
/** Posts under way at once; a provider that hangs must not gather requests without end. */
const POSTS_MAX = 100

/** Posts `{"phone", "code", "text"}`; any status but 2xx, and silence, is `sms_failed`. Nothing is posted twice. */
export function createWebhookSms(settings: WebhookSettings): SmsProvider {
  let posts = 0
  return {
    async sendCode(message) {
      if (posts >= POSTS_MAX) throw new WochatError('busy', undefined, { retryAfterMs: 1000 })
      posts++
      try {
        await post(settings, message)
      } finally {
        posts--
      }
    },
  }
}

async function post(settings: WebhookSettings, { phone, code, text }: CodeMessage): Promise<void> {
  const body = JSON.stringify({ phone, code, text })
  let reason: string
  try {
    const response = await fetch(settings.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...signature(settings, body) },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(settings.timeoutMs ?? TIMEOUT_MS),
    })
    await response.body?.cancel()
    if (response.ok) return
    reason = `it answered ${response.status}`
  } catch (error) {
    reason = reasonOf(error)
  }
  settings.log.warn({ reason }, 'the SMS webhook did not take a code')
  throw new WochatError('sms_failed')
}

function signature({ secret, now = Date.now }: WebhookSettings, body: string): Record<string, string> {
  if (secret === null) return {}
  const timestamp = String(now())
  const mac = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  return { 'x-wochat-timestamp': timestamp, 'x-wochat-signature': `sha256=${mac}` }
}

/** `fetch failed` says nothing; what failed is its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error ? cause.message : String(cause)
}
