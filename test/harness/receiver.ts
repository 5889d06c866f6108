/** A receiver of webhooks: a real HTTP server that checks signatures, and answers what a test wants. */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from './wait.ts'

export type ReceivedEvent = { seq: number; at: number; type: string; data: Record<string, unknown> }

/** How a request is answered: its status, or nothing at all. */
type Behaviour = (attempt: number) => number | 'silence'

export class Receiver implements AsyncDisposable {
  readonly #server: Server
  readonly #secret: string
  /** Events of all requests that were answered with 2xx, in the order in which they came. */
  readonly taken: ReceivedEvent[] = []
  /** Events of each request, also of those that were refused. */
  readonly requests: ReceivedEvent[][] = []
  readonly headers: IncomingHttpHeaders[] = []
  /** Requests whose signature was not right. */
  forged = 0
  behaviour: Behaviour = () => 204

  static async start(secret: string): Promise<Receiver> {
    const receiver = new Receiver(secret)
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    return receiver
  }

  private constructor(secret: string) {
    this.#secret = secret
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const body = Buffer.concat(chunks).toString()
      this.headers.push(request.headers)
      if (!this.#isSigned(request.headers, body)) {
        this.forged++
        response.writeHead(401).end()
        return
      }
      const { events } = JSON.parse(body) as { events: ReceivedEvent[] }
      this.requests.push(events)
      const status = this.behaviour(this.requests.length)
      if (status === 'silence') return
      if (status < 300) this.taken.push(...events)
      response.writeHead(status, status < 400 && status >= 300 ? { location: this.url } : {}).end()
    })
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/events`
  }

  /** As docs/integration.md tells receivers to do it. */
  #isSigned(headers: IncomingHttpHeaders, body: string): boolean {
    const key = Buffer.from(this.#secret.replace('whsec_', ''), 'base64')
    const text = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    const right = Buffer.from(`v1,${createHmac('sha256', key).update(text).digest('base64')}`)
    const given = Buffer.from(String(headers['webhook-signature']))
    const isFresh = Math.abs(Date.now() / 1000 - Number(headers['webhook-timestamp'])) < 300
    return isFresh && right.length === given.length && timingSafeEqual(right, given)
  }

  /** Taken events, each once, whatever was delivered twice. */
  get unique(): ReceivedEvent[] {
    return [...new Map(this.taken.map((event) => [event.seq, event])).values()]
  }

  untilTaken(count: number): Promise<ReceivedEvent[]> {
    return until(
      () => (this.unique.length >= count ? this.unique : false),
      () => `${count} events, ${this.unique.length} came`,
      30_000,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
