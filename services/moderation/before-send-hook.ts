/**
 * The before-send hook: an operator's own service decides about every message before it is stored.
 *
 * `POST {url}` with `{"message": {from, device?, log, to?, id?, type, body}}`, signed like webhooks (docs/integration.md). It
 * answers 200 with `{"verdict": "accept" | "withhold" | "refuse" | "replace", "message"?: text, "body"?: {...}}`.
 * Anything else, and an answer that is late, is a failure: then the setting says whether messages pass.
 */
import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { isWithinDepth } from '../../protocol/depth.ts'
import { JSON_DEPTH_MAX } from '../../protocol/limits.ts'
import { checkBody } from '../../protocol/message-types.ts'
import { ACCEPT, type ScreenedMessage, type Verdict } from '../messages/screening.ts'
import { signatureHeaders } from '../webhooks/signature.ts'

export type BeforeSendSettings = {
  url: string
  /** `whsec_...`; null sends no signature. */
  secret: string | null
  timeoutMs: number
  /** What becomes of a message when the service does not answer: `open` lets it pass. */
  onFailure: 'open' | 'closed'
}

export type BeforeSendCounters = { asked: number; failed: number; refused: number }

/** Questions under way; one more is a failure at once, so that a slow service cannot fill the memory. */
const WAITING_MAX = 1000
const ANSWER_BYTES_MAX = 256 * 1024
const TEXT_CHARS_MAX = 256
/** Between two lines in the log about failures, ms. */
const LOG_EVERY_MS = 10_000

export class BeforeSendHook {
  readonly counters: BeforeSendCounters = { asked: 0, failed: 0, refused: 0 }
  readonly #settings: BeforeSendSettings
  readonly #log: Pick<Logger, 'warn'>
  #waiting = 0
  #loggedAt = 0

  constructor(settings: BeforeSendSettings, log: Pick<Logger, 'warn'>) {
    this.#settings = settings
    this.#log = log
  }

  async screen(message: ScreenedMessage): Promise<Verdict> {
    this.counters.asked++
    if (this.#waiting >= WAITING_MAX) return this.#failed(new Error(`${WAITING_MAX} questions are under way`))
    this.#waiting++
    try {
      const verdict = readVerdict(message.type, await this.#ask(message))
      if (verdict.verdict === 'refuse') this.counters.refused++
      return verdict
    } catch (error) {
      return this.#failed(error)
    } finally {
      this.#waiting--
    }
  }

  async #ask({ uid, device, log, peer, id, type, bodyJson }: ScreenedMessage): Promise<unknown> {
    const { url, secret, timeoutMs } = this.#settings
    const about = {
      from: uid,
      device: device ?? undefined,
      log,
      to: peer ?? undefined,
      id: id ?? undefined,
      type,
    }
    const body = JSON.stringify({ message: { ...about, body: JSON.parse(bodyJson) } })
    const delivery = { id: randomUUID(), seconds: Math.floor(Date.now() / 1000), body }
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(secret !== null && signatureHeaders(secret, delivery)),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      throw new Error(`HTTP ${response.status}`)
    }
    return JSON.parse(await readText(response))
  }

  #failed(error: unknown): Verdict {
    this.counters.failed++
    const now = Date.now()
    if (now - this.#loggedAt >= LOG_EVERY_MS) {
      this.#loggedAt = now
      this.#log.warn({ err: error }, 'the before-send hook did not answer as it should')
    }
    return this.#settings.onFailure === 'open' ? ACCEPT : { verdict: 'refuse', code: 'screening_away' }
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Throws for what is no verdict. */
function readVerdict(type: string, answer: unknown): Verdict {
  const { verdict, message, body } = answer as { verdict?: unknown; message?: unknown; body?: unknown }
  if (verdict === 'accept') return ACCEPT
  if (verdict === 'withhold') return { verdict: 'withhold' }
  if (verdict === 'refuse') {
    const text = typeof message === 'string' && message !== '' ? message.slice(0, TEXT_CHARS_MAX) : undefined
    return { verdict: 'refuse', code: 'content_refused', ...(text !== undefined && { message: text }) }
  }
  if (verdict === 'replace' && typeof body === 'object' && body !== null && !Array.isArray(body)) {
    if (!isWithinDepth(body, JSON_DEPTH_MAX - 1)) throw new Error('a body that is nested too deep')
    checkBody(type, body as Record<string, unknown>)
    return { verdict: 'replace', body: body as Record<string, unknown> }
  }
  throw new Error('the answer is no verdict')
}
