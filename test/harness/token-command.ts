/** The command line's `token`, run where the signing key is. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { cleanEnv, REPO, type TestServer } from './server.ts'

const run = promisify(execFile)
const COMMAND_MS = 20_000

/** `wochat token UID ...` beside a running server; answers with the token that it prints. */
export async function printToken(server: TestServer, uid: string, ...options: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, ['main.ts', 'token', uid, ...options], {
    cwd: REPO,
    env: cleanEnv(server.settings),
    timeout: COMMAND_MS,
  })
  return stdout.trim()
}
