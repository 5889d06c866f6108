/**
 * The abstract suite of mqemitter over the emitter of a cluster; run by `node --test`, see cluster-emitter.test.ts. With
 * `far` as argument every message goes over the bus: what is emitted on one emitter is heard on another.
 */
import { createRequire } from 'node:module'
import { test } from 'node:test'
import type { Message } from 'mqemitter'
import { ClusterEmitter } from '../cluster-emitter.ts'

type AbstractSuite = (options: { test: typeof test; builder: (options?: object) => unknown }) => void

const runAbstractSuite = createRequire(import.meta.url)('mqemitter/abstractTest.js') as AbstractSuite

/** Emits to the listeners of this very emitter, but through a frame, as the bus of another node would bring it. */
class FarEmitter extends ClusterEmitter {
  #done: ((error?: Error) => void) | undefined

  constructor(options?: object) {
    super({ node: 'near', sendPlain: (frame) => this.#carried(frame) }, options)
    this.onCarried = (message) => this.emitHere(message, this.#done)
  }

  override emit(message: Message, done?: (error?: Error) => void): this {
    this.#done = done
    if (this.isClosed) super.emit(message, done)
    else this.send(message)
    return this
  }

  #carried(frame: Buffer): void {
    if (!this.receive(frame)) throw new Error('a frame of ours cannot be read')
  }
}

runAbstractSuite({
  test,
  builder: (options) =>
    process.argv[2] === 'far'
      ? new FarEmitter(options)
      : new ClusterEmitter({ node: 'near', sendPlain: () => {} }, options),
})
