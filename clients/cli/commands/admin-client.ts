/** The operations of the admin port as a program calls them. */
import type { AdminName, AdminParams, AdminResult } from '../../../protocol/admin/operations.ts'
import type { TraceLine } from '../../../protocol/admin/rows.ts'
import { ClientError, readRefusal } from '../../sdk/errors.ts'

/** Longer than a node waits for all others. */
const TIMEOUT_MS = 15_000

export class AdminClient {
  readonly #url: string

  constructor(url: string) {
    this.#url = url.replace(/\/$/, '')
  }

  /** Rejects with `WochatError` when it is refused, with `ClientError` when the port is not reached. */
  async call<Name extends Exclude<AdminName, 'trace'>>(
    name: Name,
    params: AdminParams<Name>,
  ): Promise<AdminResult<Name>> {
    const response = await this.#post(name, params, AbortSignal.timeout(TIMEOUT_MS))
    return (await response.json()) as AdminResult<Name>
  }

  /** Lines as they come, until the trace ends. */
  async *trace(params: AdminParams<'trace'>): AsyncGenerator<TraceLine> {
    const { body } = await this.#post('trace', params, null)
    let rest = ''
    const decoder = new TextDecoder()
    for await (const chunk of body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) yield JSON.parse(line) as TraceLine
    }
  }

  async #post(name: AdminName, params: object, signal: AbortSignal | null): Promise<Response> {
    let response: Response
    try {
      response = await fetch(`${this.#url}/admin/v1/${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(params),
        signal,
      })
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') throw new ClientError('timeout')
      const { cause, message } = error as Error & { cause?: { message?: string; code?: string } }
      const reason = cause?.message || cause?.code || message
      throw new ClientError('unreachable', `${this.#url} cannot be reached: ${reason}`, { cause: error })
    }
    if (response.ok) return response
    const body = (await response.json().catch(() => null)) as { error?: unknown } | null
    if (body?.error !== undefined) throw readRefusal(body.error)
    throw new ClientError('bad_answer', `${this.#url} answered HTTP ${response.status}`)
  }
}
