/** A socket as the gate sees it, whether TCP, TLS or WebSocket. */
export interface Transport {
  readonly kind: 'tcp' | 'tls' | 'ws'
  readonly remoteAddress: string
  /** Bytes handed over that the kernel has not taken. */
  readonly pendingBytes: number
  /** Hands bytes to the socket. True when they are out of our hands, so that the buffer may be written again. */
  write(bytes: Buffer): boolean
  pause(): void
  resume(): void
  /** Sends what is pending, then closes; a peer that does not take it is cut after a while. */
  end(): void
  destroy(): void
}

/** What a listener tells the gate of a socket. Nothing follows `onClose`. */
export interface TransportEvents {
  onData(chunk: Buffer): void
  /** Everything that was pending has been taken. */
  onDrain(): void
  onClose(): void
}
