/** The gate: it owns every socket, and hands each to a {@link Connection}. */
import { asWochatError, type ErrorCode } from '../../protocol/errors.ts'
import { buildClientId, type ClientId, type DeviceId, type LogId, type UserId } from '../../protocol/ids.ts'
import type { ChangeScope } from '../../protocol/reply.ts'
import type { CommitFeed, CommittedEntry } from '../../services/store/contract.ts'
import type { Hub } from '../inbox/hub.ts'
import { ReasonCode } from './codec/constants.ts'
import { Connection } from './connection.ts'
import type { GateMetrics } from './gate-metrics.ts'
import type { GateServices } from './gate-services.ts'
import { checkTimeouts } from './timeouts.ts'
import type { Transport, TransportEvents } from './transport.ts'

const TIMEOUTS_EVERY_MS = 1000

/** What a connection that was open is closed for when its login is looked at again. */
const ENDS_LOGINS: ReadonlySet<ErrorCode> = new Set(['revoked', 'account_suspended'])

export class Gate implements CommitFeed {
  readonly #services: GateServices
  readonly #hub: Hub
  readonly #timer: NodeJS.Timeout

  constructor(services: GateServices) {
    this.#services = services
    this.#hub = services.inbox.hub
    this.#timer = setInterval(() => this.#checkTimeouts(), TIMEOUTS_EVERY_MS)
    this.#timer.unref()
  }

  get metrics(): GateMetrics {
    return this.#services.metrics
  }

  /** Takes a socket; null when there is no place for it. */
  accept(transport: Transport): TransportEvents | null {
    return this.#services.admission.open() ? new Connection(this.#services, transport) : null
  }

  #checkTimeouts(): void {
    const { now } = this.#services.clock
    for (const connection of this.#services.registry.all) checkTimeouts(connection, now)
  }

  // -------------------------------------------------------------- the store's feed

  entryCommitted(entry: CommittedEntry): void {
    this.#hub.entryCommitted(entry)
  }

  logGrew(log: LogId, epoch: string, head: number): void {
    this.#hub.logGrew(log, epoch, head)
  }

  memberJoined(log: LogId, uid: UserId, fromSeq: number): void {
    this.#hub.memberJoined(log, uid, fromSeq)
  }

  memberLeft(log: LogId, uid: UserId, toSeq: number): void {
    this.#hub.memberLeft(log, uid, toSeq)
  }

  readMoved(uid: UserId, log: LogId, seq: number): void {
    this.tellRead(uid, log, seq)
    this.#services.live.receipts.readMoved(uid, log, seq)
  }

  /** Tells the user's own devices; whoever committed it tells the other person. */
  tellRead(uid: UserId, log: LogId, seq: number): void {
    this.#services.live.delivery.toUserHere(uid, { kind: 'read', log, seq })
  }

  /** Tells the user's own devices here. */
  stateChanged(uid: UserId, scope: ChangeScope, version: number): void {
    this.#services.live.delivery.toUserHere(uid, { kind: 'changed', scope, version })
  }

  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void {
    this.#services.registry.endLogin(uid, device, sid)
    if (device === null) return
    this.endPlainSession(buildClientId(uid, device)).catch((error: unknown) => {
      this.#services.log.error({ err: error }, 'a plain session was not ended')
    })
  }

  /** A login of this device (null: of any) ended at some time: whoever is connected with one that does not stand is cut. */
  recheckLogins(uid: UserId, device: DeviceId | null): void {
    const { registry, store, log } = this.#services
    registry.eachOfUser(uid, (connection) => {
      const { token } = connection.identity
      if (token === null || (device !== null && connection.device !== device)) return
      const { sid, issuedAt } = token
      store.checkLogin({ uid, device: connection.device, sid, issuedAt }).catch((error: unknown) => {
        if (ENDS_LOGINS.has(asWochatError(error).code)) connection.loginEnded(connection.device, null)
        else
          log.warn({ err: error }, 'a login could not be checked again; the store refuses what it may not do')
      })
    })
  }

  /** A session of the store has ended: the engine forgets its part too. */
  endPlainSession(clientId: ClientId): Promise<void> {
    return this.#services.engine.endSession(clientId)
  }

  // -------------------------------------------------------------- stopping

  /** Lets nobody in, tells MQTT 5 clients, and closes every connection; resolves when their sessions are in the store. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    const { admission, registry } = this.#services
    admission.isClosed = true
    const connections = [...registry.all]
    for (const connection of connections) connection.disconnect(ReasonCode.serverShuttingDown)
    await Promise.all(connections.map((connection) => connection.left))
  }
}
