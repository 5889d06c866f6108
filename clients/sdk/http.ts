/** The operations of the catalogue over HTTP, with the same types and refusals as over MQTT. */
import type { OperationName, Params, Result } from '../../protocol/catalogue/catalogue.ts'
import { ClientError, readRefusal } from './errors.ts'

const TIMEOUT_MS = 15_000

type HttpOptions = {
  /** e.g. `http://127.0.0.1:8080`. */
  url: string
  /** An access token, or what gives a valid one for each call; null for the public operations only. */
  token: string | (() => Promise<string>) | null
  timeoutMs?: number
}

/** Rejects with `WochatError` when the server refuses, with {@link ClientError} when it is not reached. */
export type HttpCall = <Name extends OperationName>(name: Name, params: Params<Name>) => Promise<Result<Name>>

export function createHttpCall(options: HttpOptions): HttpCall {
  return async <Name extends OperationName>(name: Name, params: Params<Name>) => {
    const token = typeof options.token === 'function' ? await options.token() : options.token
    const response = await post(options, name, JSON.stringify(params), token)
    const body = await readBody(response)
    if (response.ok) return body as Result<Name>
    if (body?.error === undefined)
      throw new ClientError('bad_answer', `the server answered HTTP ${response.status}`)
    throw readRefusal(body.error)
  }
}

async function post(
  { url, timeoutMs = TIMEOUT_MS }: HttpOptions,
  name: string,
  body: string,
  token: string | null,
) {
  const headers = {
    'content-type': 'application/json',
    ...(token !== null && { authorization: `Bearer ${token}` }),
  }
  const address = `${url.replace(/\/$/, '')}/v1/${name}`
  try {
    return await fetch(address, { method: 'POST', headers, body, signal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') throw new ClientError('timeout')
    throw new ClientError('unreachable', `${url} cannot be reached: ${describe(error as Error)}`, {
      cause: error,
    })
  }
}

async function readBody(response: Response): Promise<{ error?: unknown } | null> {
  try {
    return (await response.json()) as { error?: unknown }
  } catch (cause) {
    if (!response.ok) return null
    throw new ClientError('bad_answer', 'the server did not answer with JSON', { cause })
  }
}

/** `fetch` hides the reason behind "fetch failed". */
function describe(error: Error): string {
  const cause = error.cause as (Error & { code?: string }) | undefined
  return cause?.message || cause?.code || error.message
}
