/** The admin port as a test uses it. */
import type { AdminName, AdminParams, AdminResult } from '../../protocol/admin/operations.ts'
import type { TraceLine } from '../../protocol/admin/rows.ts'
import type { TestServer } from './server.ts'
import { until } from './wait.ts'

type RawAnswer = { status: number; body: Record<string, unknown> }

/** Whatever is answered to whatever is sent. */
export async function adminRaw(
  server: TestServer,
  path: string,
  {
    body,
    method = 'POST',
    headers = {},
  }: { body?: string; method?: string; headers?: Record<string, string> },
): Promise<RawAnswer> {
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}/admin/v1/${path}`, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body }),
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

/** An operation that succeeds. */
export async function admin<Name extends Exclude<AdminName, 'trace'>>(
  server: TestServer,
  name: Name,
  params: AdminParams<Name>,
): Promise<AdminResult<Name>> {
  const { status, body } = await adminRaw(server, name, { body: JSON.stringify(params) })
  if (status !== 200) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`)
  return body as AdminResult<Name>
}

/** The one node of a single server. */
export async function selfOf(server: TestServer): Promise<string> {
  const { nodes } = await admin(server, 'nodes', {})
  return nodes.find(({ isSelf }) => isSelf)!.id
}

export async function readyz(
  server: TestServer,
): Promise<{ status: number; reasons: string[]; warnings: string[] }> {
  const answer = await fetch(`http://127.0.0.1:${server.adminPort}/readyz`)
  return { status: answer.status, ...((await answer.json()) as { reasons: string[]; warnings: string[] }) }
}

/** A trace that is being read; `await using` ends it. */
export class Trace implements AsyncDisposable {
  readonly lines: TraceLine[] = []
  readonly #abort = new AbortController()
  #reading: Promise<void> = Promise.resolve()

  /** Resolves when every node is armed. */
  static async start(server: TestServer, params: AdminParams<'trace'>): Promise<Trace> {
    const trace = new Trace()
    const answer = await fetch(`http://127.0.0.1:${server.adminPort}/admin/v1/trace`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(params),
      signal: trace.#abort.signal,
    })
    if (!answer.ok) throw new Error(`trace: ${answer.status} ${await answer.text()}`)
    trace.#reading = trace.#read(answer.body!).catch(() => {})
    await until(() => trace.lines.some(({ kind }) => kind === 'started'), 'the trace to start')
    return trace
  }

  get steps(): Extract<TraceLine, { kind: 'step' }>[] {
    return this.lines.filter((line) => line.kind === 'step')
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let rest = ''
    for await (const chunk of body) {
      const parts = (rest + Buffer.from(chunk).toString()).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) this.lines.push(JSON.parse(part) as TraceLine)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    await this.#reading
  }
}
