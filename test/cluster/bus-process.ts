/** Starts `bus-child.ts`, for tests that kill or pause a node. */
import { type ChildProcess, fork } from 'node:child_process'
import { until, within } from '../harness/wait.ts'
import type { BusNodeOptions } from './bus-node.ts'

export class BusProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly events: { event: string; value: unknown }[] = []

  constructor(options: BusNodeOptions) {
    this.#child = fork(new URL('bus-child.ts', import.meta.url).pathname, [JSON.stringify(options)], {
      execArgv: [],
    })
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.on('message', (message) => this.events.push(message as { event: string; value: unknown }))
  }

  static async start(options: BusNodeOptions): Promise<BusProcess> {
    const node = new BusProcess(options)
    await until(() => node.find('ready'), 'the node process to be ready')
    return node
  }

  /** The value of the first event of a name. */
  find(event: string): unknown {
    return this.events.find((one) => one.event === event)?.value
  }

  get node(): string {
    return this.find('ready') as string
  }

  async claim(clientId: string): Promise<void> {
    this.#child.send({ command: 'claim', value: clientId })
    await until(
      () =>
        this.events.some(({ event, value }) => event === 'claimed' && (value as string[])[0] === clientId),
      `the claim to ${clientId}`,
    )
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await within(this.#exited, 'the node process to end')
  }
}
