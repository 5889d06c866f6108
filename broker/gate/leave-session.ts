/** What a connection leaves behind: its cursors are in the store, and its session waits for the device or ends. */
import type { ClientId } from '../../protocol/ids.ts'
import type { Store } from '../../services/store/contract.ts'
import type { Bus } from '../cluster/bus.ts'
import type { CursorWriter } from '../inbox/cursor-writer.ts'
import type { InboxSession } from '../inbox/inbox-session.ts'
import type { Identity } from './identity.ts'

export type SessionKeepers = {
  readonly bus: Pick<Bus, 'release'>
  readonly store: Pick<Store, 'closeSession'>
  readonly inbox: { readonly cursors: Pick<CursorWriter, 'flush'> }
  readonly registry: { detach(clientId: ClientId, session: InboxSession): void }
}

/** `now`: ms, as the inbox counts its acknowledgements. */
type End = { publishWill: boolean; now: number }

/** Resolves when all is in the store; the route of the device is released in any case. */
export async function leaveSession(keepers: SessionKeepers, identity: Identity, end: End): Promise<void> {
  try {
    await closeSession(keepers, identity, end)
  } finally {
    if (identity.claim !== null) keepers.bus.release(identity.claim)
  }
}

async function closeSession(
  { store, inbox, registry }: SessionKeepers,
  { session, plain, sessionExpirySeconds, clientId }: Identity,
  { publishWill, now }: End,
): Promise<void> {
  const plainLeft = plain.close({ publishWill, sessionExpirySeconds })
  session.stop(now)
  if (session.number === null) return plainLeft
  const ends = sessionExpirySeconds === 0
  if (!ends && session.inflight.entries > 0) registry.detach(clientId as ClientId, session)
  // A takeover changes the generation of the session while this waits; what is written here is of the old one.
  const { number, generation } = session
  const expiresAt = ends ? null : Date.now() + sessionExpirySeconds * 1000
  await inbox.cursors.flush(session)
  await store.closeSession({ clientId: clientId as ClientId, session: number, generation, expiresAt })
  await plainLeft
}
