/** The command line against a real server, as a person or a script uses it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { LogBuffer } from '../harness/log-buffer.ts'
import { cleanEnv, REPO, sharedServer, type TestServer } from '../harness/server.ts'
import { until, within } from '../harness/wait.ts'

const server = sharedServer()

/** Where the commands keep their logins. */
const home = mkdtempSync(join(tmpdir(), 'wochat-cli-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** Each command is a process of its own, and a test runs several. */
const SLOW_MS = 120_000
const COMMAND_MS = 30_000

type Outcome = { code: number | null; out: string; err: string }

class Command implements AsyncDisposable {
  readonly out = new LogBuffer()
  readonly err = new LogBuffer()
  readonly child: ChildProcessWithoutNullStreams
  readonly #ended: Promise<number | null>

  constructor(args: string[], env: Record<string, string> = {}, file = 'clients/cli/wochat.js') {
    this.child = spawn(process.execPath, [join(REPO, file), ...args], {
      cwd: home,
      env: cleanEnv({ HOME: home, ...env }),
    })
    this.child.stdout.setEncoding('utf8').on('data', (chunk: string) => this.out.push(chunk))
    this.child.stderr.setEncoding('utf8').on('data', (chunk: string) => this.err.push(chunk))
    this.#ended = new Promise((resolve) => this.child.once('close', (code) => resolve(code)))
  }

  async end(): Promise<Outcome> {
    const code = await within(this.#ended, `the end of wochat:\n${this.err.text}`, COMMAND_MS)
    return { code, out: this.out.text.trimEnd(), err: this.err.text.trimEnd() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await this.#ended
  }
}

async function run(
  args: string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<Outcome> {
  await using command = new Command(args, env)
  command.child.stdin.end(input)
  return await command.end()
}

/** What a command prints; it must succeed. */
async function printed(...args: string[]): Promise<string> {
  const { code, out, err } = await run(args)
  expect(code, err).toBe(0)
  return out
}

const withToken = (uid: string, deviceId = 'script') => [
  '--url',
  server.httpUrl,
  '--token',
  server.token(uid, deviceId),
]

let numbers = 0
const newPhone = () => `+86139${String(Date.now()).slice(-6)}${String(++numbers).padStart(2, '0')}`

/** Logs in as a person does: the code is read from what the server printed, and typed. */
async function logIn(at: TestServer, profile: string, uid: string): Promise<Outcome> {
  const phone = newPhone()
  await using command = new Command(['login', phone, '--url', at.httpUrl, '--profile', profile, '--uid', uid])
  await until(() => command.err.text.includes('code sent to'), 'the question for the code', COMMAND_MS)
  const code = await until(() => at.smsCode(phone), 'the code')
  command.child.stdin.end(`${code}\n`)
  return await command.end()
}

const profileFile = (profile: string) => join(home, '.config', 'wochat', `${profile}.json`)

async function tail(...args: string[]): Promise<Command> {
  const command = new Command(['tail', ...args])
  await until(
    () => command.err.text.includes('live'),
    () => `tail to be live:\n${command.err.text}`,
    COMMAND_MS,
  )
  return command
}

test(
  'two people log in, become friends and chat',
  async () => {
    expect(await logIn(server, 'alice', 'alice')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^logged in as alice on device cli-/),
    })
    await logIn(server, 'bob', 'bob')
    expect(statSync(profileFile('alice')).mode & 0o777).toBe(0o600)

    const alice = ['--profile', 'alice']
    const bob = ['--profile', 'bob']
    expect(await run(['send', 'bob', 'too early', ...alice])).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^not_friends: .+$/),
    })
    expect(await printed('friend', 'request', 'bob', 'it is me', ...alice)).toBe('requested: bob')
    expect(await printed('friend', 'list', ...bob)).toMatch(/alice +asked +.* it is me/)
    await printed('friend', 'accept', 'alice', ...bob)

    await using watching = await tail(...bob)
    expect(await printed('send', 'bob', 'Hello', 'there!', ...alice)).toBe('d:alice:bob 1')
    await until(() => watching.out.text.includes('d:alice:bob 1 alice/cli-'), 'the message')
    expect(watching.out.text).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d d:alice:bob 1 alice\/cli-\w+: Hello there!$/m,
    )
    watching.child.kill('SIGINT')
    expect((await watching.end()).code).toBe(0)

    await printed('send', 'bob', 'while you were away', ...alice)
    await using again = await tail('--json', ...bob)
    await until(() => again.out.text.includes('\n'), 'the missed message')
    expect(again.err.text).toContain('receiving 1 missed entries')
    expect(JSON.parse(again.out.text)).toMatchObject({
      seq: 2,
      from: 'alice',
      body: { text: 'while you were away' },
    })

    expect(await printed('history', 'alice', ...bob)).toMatch(
      / 1 alice.*: Hello there!\n.* 2 alice.*: while you were away$/,
    )
    expect(await printed('conversations', ...bob)).toMatch(/2 +2 +.* d:alice:bob +alice/)
    expect(await printed('devices', ...bob)).toMatch(/^\* +cli-\w+ +cli /m)
  },
  SLOW_MS,
)

describe('a login', () => {
  test(
    'is refreshed by itself, once, by commands that run at the same time',
    async () => {
      await logIn(server, 'carol', 'carol')
      const before = JSON.parse(readFileSync(profileFile('carol'), 'utf8')) as { refreshToken: string }
      writeFileSync(profileFile('carol'), JSON.stringify({ ...before, expiresAt: 0, accessToken: 'ended' }))
      const outcomes = await Promise.all(
        [1, 2, 3].map(() => run(['group', 'list', '--profile', 'carol', '--json'])),
      )
      expect(outcomes).toEqual([1, 2, 3].map(() => ({ code: 0, out: '{"items":[]}', err: '' })))
      const after = JSON.parse(readFileSync(profileFile('carol'), 'utf8')) as {
        refreshToken: string
        expiresAt: number
      }
      expect(after.refreshToken).not.toBe(before.refreshToken)
      expect(after.expiresAt).toBeGreaterThan(Date.now())
    },
    SLOW_MS,
  )

  test(
    'is gone after logout',
    async () => {
      await logIn(server, 'dave', 'dave')
      expect(await printed('logout', '--profile', 'dave')).toBe('logged out dave')
      expect(await run(['devices', '--profile', 'dave'])).toEqual({
        code: 1,
        out: '',
        err: 'unauthenticated: no login in profile "dave"; see wochat login --help',
      })
    },
    SLOW_MS,
  )

  test(
    'with a wrong code is refused as bad_code',
    async () => {
      const outcome = await run([
        'login',
        newPhone(),
        '--code',
        '000000',
        '--url',
        server.httpUrl,
        '--profile',
        'eve',
      ])
      expect(outcome).toEqual({
        code: 1,
        out: '',
        err: expect.stringMatching(
          /^bad_code: .* A further wochat login, without --code, sends a new one\.$/,
        ),
      })
    },
    SLOW_MS,
  )
})

test(
  'a group is made, grows, shrinks and is left',
  async () => {
    const [owner, member] = [withToken('gina'), withToken('hugo')]
    await printed('devices', ...member)
    await printed('friend', 'request', 'hugo', ...owner)
    await printed('friend', 'accept', 'gina', ...member)
    const id = await printed('group', 'create', 'the team', ...owner)
    expect(id).toMatch(/^g:/)
    expect(await printed('group', 'add', id, 'hugo', ...owner)).toBe('added: hugo')
    expect(await printed('group', 'members', id, ...member)).toMatch(/^gina +owner .*\nhugo +member /m)
    expect(await printed('group', 'list', ...member)).toMatch(/2 +gina .* the team$/m)
    await printed('send', id, 'hello all', ...owner)
    expect(await printed('history', id, '--limit', '1', ...member)).toMatch(/: hello all$/)
    expect(await printed('group', 'leave', id, ...member)).toBe(`left: ${id}`)
    expect(await run(['group', 'add', id, 'nobody.here', ...owner])).toEqual({
      code: 1,
      out: '',
      err: 'users_refused: nobody.here is no user of this server',
    })
  },
  SLOW_MS,
)

test(
  'text of other people cannot drive the terminal, and a pipe gets no colours',
  async () => {
    const [ivan, judy] = [withToken('ivan'), withToken('judy')]
    await printed('devices', ...judy)
    await printed('friend', 'request', 'judy', ...ivan)
    await printed('friend', 'accept', 'ivan', ...judy)
    await printed('send', 'judy', 'evil \u001b[2J\nline', ...ivan)
    const out = await printed('history', 'ivan', ...judy)
    expect(out).toMatch(/: evil \\x1b\[2J\\nline$/)
    expect(out).not.toContain('\u001b')
  },
  SLOW_MS,
)

test.each([
  [
    'a server that is not there',
    ['devices', '--url', 'http://127.0.0.1:1', '--token', 'a.b.c', '--uid', 'kim'],
    /^unreachable: http:\/\/127\.0\.0\.1:1 /,
  ],
  [
    'an address that is none',
    ['devices', '--url', 'nowhere', '--token', 'a.b.c', '--uid', 'kim'],
    /^bad_request: --url/,
  ],
  [
    'a conversation that is none',
    ['history', 'a/b', '--token', 'a.b.c', '--uid', 'kim'],
    /^bad_request: a\/b/,
  ],
  [
    'a limit that is no number',
    ['history', 'lea', '--limit', 'x', '--token', 'a.b.c', '--uid', 'kim'],
    /^bad_request: --limit/,
  ],
])(
  '%s is told in one line, with exit code 1',
  async (_, args, expected) => {
    const outcome = await run(args)
    expect(outcome).toMatchObject({ code: 1, out: '' })
    expect(outcome.err).toMatch(expected)
    expect(outcome.err).not.toContain('\n')
  },
  SLOW_MS,
)

test(
  'a token that the server does not take ends tail with its code',
  async () => {
    const outcome = await run(['tail', '--url', server.httpUrl, '--uid', 'mia', '--token', 'a.b.c'])
    expect(outcome).toEqual({ code: 1, out: '', err: expect.stringMatching(/^unauthenticated: /) })
  },
  SLOW_MS,
)

test(
  'a reader that leaves ends a command in silence',
  async () => {
    await using command = new Command(['operations'])
    command.child.stdout.destroy()
    expect(await command.end()).toEqual({ code: 0, out: '', err: '' })
  },
  SLOW_MS,
)

describe('a login that is not finished', () => {
  test(
    'has its refusal on a line of its own',
    async () => {
      const phone = newPhone()
      const args = ['login', phone, '--url', server.httpUrl, '--profile', 'finn']
      const { err } = await run(args, { input: 'none\n' })
      expect(err.split('\n')).toEqual([`code sent to ${phone}: `, expect.stringMatching(/^bad_/)])
    },
    SLOW_MS,
  )

  test(
    'says on a line of its own how the code is given later',
    async () => {
      const phone = newPhone()
      const { code, err } = await run(['login', phone, '--url', server.httpUrl, '--profile', 'finn'])
      expect(code).toBe(1)
      expect(err.split('\n')).toEqual([
        `code sent to ${phone}: `,
        `bad_code: no code was typed; give it by wochat login ${phone} --code <code>`,
      ])
    },
    SLOW_MS,
  )
})

test(
  'a refusal says when to ask again, and with --json everything that the server said',
  async () => {
    const [nina, omar] = [withToken('nina'), withToken('omar')]
    await printed('devices', ...omar)
    await printed('friend', 'request', 'omar', ...nina)
    await printed('friend', 'refuse', 'nina', ...omar)
    const asked = ['call', 'contacts.request', 'uid=omar', ...nina]
    expect((await run(asked)).err).toMatch(/^request_refused: .* \(again in (\d+ d )?\d+ h( \d+ min)?\)$/)
    expect(JSON.parse((await run([...asked, '--json'])).err)).toEqual({
      code: 'request_refused',
      message: expect.any(String),
      retryAfterMs: expect.any(Number),
    })
  },
  SLOW_MS,
)

test(
  'a call takes lists of numbers, one of several words, and a date as its parameters',
  async () => {
    const pia = withToken('pia')
    expect(await printed('call', 'settings.set', 'whoMayAdd=nobody', ...pia)).toContain(
      '"whoMayAdd":"nobody"',
    )
    const planned = new Date(Date.now() + 86_400_000).toISOString().slice(0, 16)
    const { id } = JSON.parse(await printed('call', 'groups.create', 'name=notes', ...pia)) as { id: string }
    await printed('send', id, 'one', ...pia)
    const got = JSON.parse(await printed('call', 'messages.get', `log=${id}`, 'seqs=1,2', ...pia)) as {
      entries: unknown[]
    }
    expect(got.entries.length).toBeGreaterThan(0)
    await printed('call', 'messages.schedule', `to=${id}`, 'id=m1', 'text=later', `at=${planned}Z`, ...pia)
    expect(await printed('call', 'messages.scheduled', ...pia)).toContain(String(Date.parse(`${planned}Z`)))
  },
  SLOW_MS,
)

describe('the operator', () => {
  const adminUrl = () => ['--url', `http://127.0.0.1:${server.adminPort}`]

  test(
    'gives words from a file or from standard input, and is told of a file that is none',
    async () => {
      writeFileSync(join(home, 'words.json'), '[{"word":"frobnicate","action":"mask"}]')
      expect(await printed('admin', 'set-words', '--words', '@words.json', ...adminUrl())).toBe('words: 1')
      const removed = await run(['admin', 'remove-words', '--words', '@-', ...adminUrl()], {
        input: '["frobnicate"]',
      })
      expect(removed).toEqual({ code: 0, out: 'words: 0', err: '' })
      expect((await run(['admin', 'set-words', '--words', '@gone.json', ...adminUrl()])).err).toBe(
        'bad_request: words: gone.json cannot be read: there is no such file',
      )
    },
    SLOW_MS,
  )

  test(
    'suspends until a date, and reads it as a date',
    async () => {
      await printed('devices', ...withToken('quinn'))
      const suspended = await printed(
        'admin',
        'suspend',
        'quinn',
        'spam',
        '--until',
        '2099-11-30T12:00',
        ...adminUrl(),
      )
      expect(suspended).toMatch(/^until: 2099-11-30 12:00:00$/m)
      expect(await printed('admin', 'suspensions', ...adminUrl())).toMatch(
        /^quinn +spam +\d{4}-.* 2099-11-30 12:00:00$/m,
      )
      expect((await run(['devices', ...withToken('quinn')])).err).toMatch(
        /^account_suspended: .* \(until 2099-11-30 12:00:00\)$/,
      )
    },
    SLOW_MS,
  )

  test(
    'is told to keep a secret, and that a device has no session',
    async () => {
      await printed('admin', 'add-bot', 'botty', 'Botty', ...adminUrl())
      expect(await printed('admin', 'add-api-key', 'botty', 'ci', ...adminUrl())).toMatch(
        /^key: .+\n(.+\n)*The key is shown this once: keep it\.$/m,
      )
      const hook = ['crm', 'http://127.0.0.1:9/', '--events', 'group.*', ...adminUrl()]
      expect(await printed('admin', 'add-webhook', ...hook)).toMatch(
        /\nThe secret is shown this once: keep it\.$/,
      )
      await printed('admin', 'remove-webhook', 'crm', ...adminUrl())
      await logIn(server, 'rosa', 'rosa')
      expect(await printed('admin', 'sessions', 'rosa', ...adminUrl())).toMatch(/^cli-\w+ +no session$/m)
    },
    SLOW_MS,
  )

  test(
    'need not say an address that the environment of the server says',
    async () => {
      const env = {
        WOCHAT_ADMIN_PORT: String(server.adminPort),
        WOCHAT_HTTP_PORT: new URL(server.httpUrl).port,
      }
      expect((await run(['admin', 'nodes'], { env })).err).toBe('')
      const token = ['--token', server.token('sven', 'script')]
      expect(await run(['devices', ...token], { env })).toMatchObject({ code: 0, err: '' })
      // To those who have another environment, the server says it.
      expect(server.nodes[0]!.log.text).toContain(` --url http://localhost:${env.WOCHAT_HTTP_PORT}   (`)
    },
    SLOW_MS,
  )
})

test.each([
  ['bogus', "error: unknown command 'bogus'; see wochat --help"],
  ['hsitory', "error: unknown command 'hsitory'; did you mean history?"],
])(
  'a command that is none is told with what was meant, if that is close: %s',
  async (command, expected) => {
    expect(await run([command])).toEqual({ code: 1, out: '', err: expected })
  },
  SLOW_MS,
)
