/**
 * The contract of the store as tests: every engine passes all of them.
 *
 * All tests of an engine share one store and keep apart by random uids. A test opens the store, and closes it before
 * it opens it again or hands it to another process.
 */
import { botsContract } from './bots-contract.ts'
import { broadcastsContract } from './broadcasts-contract.ts'
import { contactsContract } from './contacts-contract.ts'
import { conversationLastContract } from './conversation-last-contract.ts'
import { conversationStateContract } from './conversation-state-contract.ts'
import { conversationsContract } from './conversations-contract.ts'
import { durabilityContract } from './durability-contract.ts'
import type { StoreEngine } from './engine.ts'
import { erasureContract } from './erasure-contract.ts'
import { feedContract } from './feed-contract.ts'
import { groupRulesContract } from './group-rules-contract.ts'
import { groupsContract } from './groups-contract.ts'
import { historyContract } from './history-contract.ts'
import { hostileContract } from './hostile-contract.ts'
import { importContract } from './import-contract.ts'
import { largeGroupContract } from './large-group-contract.ts'
import { mediaContract } from './media-contract.ts'
import { messageChangesContract } from './message-changes-contract.ts'
import { messageMarksContract } from './message-marks-contract.ts'
import { peopleContract } from './people-contract.ts'
import { peopleEndsContract } from './people-ends-contract.ts'
import { plainContract } from './plain-contract.ts'
import { presenceContract } from './presence-contract.ts'
import { profileContract } from './profile-contract.ts'
import { receiptsContract } from './receipts-contract.ts'
import { repeatedCallsContract } from './repeated-calls-contract.ts'
import { retentionContract } from './retention-contract.ts'
import { searchContract } from './search-contract.ts'
import { sendMarksContract } from './send-marks-contract.ts'
import { sendRulesContract } from './send-rules-contract.ts'
import { sendsContract } from './sends-contract.ts'
import { suspensionsContract } from './suspensions-contract.ts'
import { unreadContract } from './unread-contract.ts'
import { unseenContract } from './unseen-contract.ts'
import { waitingWorkContract } from './waiting-work-contract.ts'
import { webhooksContract } from './webhooks-contract.ts'
import { writeRulesContract } from './write-rules-contract.ts'

/**
 * What depends on how calls and commits get to a store and back: order, durability, the feed, one call of each form.
 * `engine` is asked for when the tests run.
 */
export function transportContract(engine: () => StoreEngine): void {
  sendsContract(engine)
  sendMarksContract(engine)
  durabilityContract(engine)
  feedContract(engine)
  contactsContract(engine)
  groupsContract(engine)
  conversationsContract(engine)
  hostileContract(engine)
  plainContract(engine)
}

/** Registers the whole suite. */
export function storeContract(engine: () => StoreEngine): void {
  // First, while the store is small: these go through all of it.
  waitingWorkContract(engine)
  searchContract(engine)
  retentionContract(engine)
  transportContract(engine)
  sendRulesContract(engine)
  writeRulesContract(engine)
  repeatedCallsContract(engine)
  profileContract(engine)
  peopleContract(engine)
  peopleEndsContract(engine)
  erasureContract(engine)
  groupRulesContract(engine)
  conversationLastContract(engine)
  conversationStateContract(engine)
  receiptsContract(engine)
  unreadContract(engine)
  unseenContract(engine)
  historyContract(engine)
  messageChangesContract(engine)
  messageMarksContract(engine)
  presenceContract(engine)
  mediaContract(engine)
  webhooksContract(engine)
  botsContract(engine)
  broadcastsContract(engine)
  importContract(engine)
  suspensionsContract(engine)
  // Last, because it leaves the store large.
  largeGroupContract(engine)
}
