/** A wire between two processes that a test can cut or freeze: a TCP forwarder on a loopback port. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Changes what the far end sends, on its way to the near one; a chunk may hold any part of the stream. */
export type Filter = (chunk: Buffer) => Buffer

export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #pairs = new Set<Socket>()
  readonly #stranded = new Set<Socket>()
  #state: 'whole' | 'cut' | 'frozen' = 'whole'

  /** Forwards to a loopback port. `filter` makes a filter for each connection. */
  static async start(target: number, filter: () => Filter = () => (chunk) => chunk): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, filter)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  private constructor(target: number, filter: () => Filter) {
    this.#server = createServer((near) => this.#join(near, target, filter()))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  #join(near: Socket, target: number, filter: Filter): void {
    if (this.#state === 'cut') {
      near.destroy()
      return
    }
    const far = connect(target, '127.0.0.1')
    for (const socket of [near, far]) {
      socket.setNoDelay(true)
      this.#pairs.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#pairs.delete(socket)
        this.#stranded.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', (chunk: Buffer) => far.write(chunk))
    far.on('data', (chunk: Buffer) => near.write(filter(chunk)))
    if (this.#state === 'frozen') for (const socket of [near, far]) socket.pause()
  }

  /** Ends every connection, with what is on its way, and lets no other through. */
  cut(): void {
    this.#state = 'cut'
    for (const socket of this.#pairs) socket.destroy()
  }

  /** Nothing arrives any more, and no end is told of anything: packets get lost. */
  freeze(): void {
    this.#state = 'frozen'
    for (const socket of this.#pairs) socket.pause()
  }

  /** After a freeze what was on its way arrives late, as TCP sends it again. */
  heal(): void {
    this.#state = 'whole'
    for (const socket of this.#pairs) socket.resume()
  }

  /** Nothing arrives any more on the connections of now, for good, as where a router has forgotten them; new ones work. */
  strand(): void {
    this.freeze()
    for (const socket of this.#pairs) this.#stranded.add(socket)
    this.#pairs.clear()
    this.#state = 'whole'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    for (const socket of this.#stranded) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
