/** The client commands. They use the server by the same contract as every other client. */
import type { Command } from 'commander'
import { registerAdmin } from './commands/admin.ts'
import { registerCall } from './commands/call.ts'
import { registerFriend } from './commands/friend.ts'
import { registerGroup } from './commands/group.ts'
import { registerLogin } from './commands/login.ts'
import { registerMessages } from './commands/messages.ts'
import { registerTail } from './commands/tail.ts'

export function register(program: Command): void {
  registerLogin(program)
  registerMessages(program)
  registerTail(program)
  registerFriend(program)
  registerGroup(program)
  registerCall(program)
  registerAdmin(program)
}
