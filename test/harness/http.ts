/** Calls operations of a server over HTTP, and reads its refusals: a body that is no error of the protocol is a failure. */

/** An error body, with its status. */
export class HttpRefusal extends Error {
  readonly status: number
  readonly code: string
  readonly retryAfterMs: number | undefined
  readonly details: unknown

  constructor(operation: string, status: number, body: unknown) {
    const { code, message, retryAfterMs, details } = readErrorBody(body)
    super(`${operation}: ${status} ${code}: ${message}`)
    this.name = 'HttpRefusal'
    this.status = status
    this.code = code
    this.retryAfterMs = retryAfterMs
    this.details = details
  }
}

type ErrorFields = { code: string; message: string; retryAfterMs?: number; details?: unknown }

function readErrorBody(body: unknown): ErrorFields {
  const error = (body as { error?: ErrorFields } | null)?.error
  if (typeof error?.code !== 'string' || typeof error.message !== 'string') {
    throw new Error(`not an error body: ${JSON.stringify(body)}`)
  }
  return error
}

/** POSTs any bytes to an operation and answers with the status and the parsed body. */
export async function postRaw(
  url: string,
  operation: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${url}/v1/${encodeURIComponent(operation.toWellFormed())}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
  return { status: answer.status, body: await answer.json() }
}

/** The result of an operation; rejects with {@link HttpRefusal}. */
export async function callOperation<T>(
  url: string,
  operation: string,
  params: unknown,
  token?: string,
): Promise<T> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const { status, body } = await postRaw(url, operation, JSON.stringify(params), headers)
  if (status !== 200) throw new HttpRefusal(operation, status, body)
  return body as T
}
