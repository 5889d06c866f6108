/** When bytes leave: once per socket and turn of the event loop. */

interface Flushable {
  flush(): void
}

/**
 * So many sockets are written together at most: a turn that reads from 1,000 sockets would otherwise answer none of them
 * before it has read them all, and with few messages in flight the server would stand still meanwhile.
 */
const SOCKETS_TOGETHER_MAX = 64

/**
 * Gathers the connections that have something to write and flushes each once, when all that was readable in this turn
 * of the event loop has been read: one write per socket and turn, however many packets.
 */
export class Turn {
  private waiting: Flushable[] = []
  private spare: Flushable[] = []
  private scheduled = false

  add(connection: Flushable): void {
    if (this.waiting.length === SOCKETS_TOGETHER_MAX) this.flush()
    this.waiting.push(connection)
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.endTurn)
  }

  private readonly endTurn = (): void => {
    this.scheduled = false
    this.flush()
  }

  private flush(): void {
    const connections = this.waiting
    this.waiting = this.spare
    for (const connection of connections) connection.flush()
    connections.length = 0
    this.spare = connections
  }
}
