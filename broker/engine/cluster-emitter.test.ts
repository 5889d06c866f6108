import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'

/** What `abstractTest.js` of mqemitter 7.1 holds. */
const ABSTRACT_TESTS = 24

test.each(['near', 'far'])(
  'the emitter of a cluster passes the abstract suite of mqemitter: %s',
  {
    timeout: 120_000,
  },
  async (mode) => {
    const suite = new URL('./testing/emitter-suite.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--test-reporter=tap', suite, mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let report = ''
    child.stdout.on('data', (chunk: Buffer) => {
      report += chunk
    })
    const [code] = await once(child, 'close')
    expect(report.match(/^not ok .*$/gm) ?? []).toEqual([])
    expect(report.match(/^ok /gm)).toHaveLength(ABSTRACT_TESTS)
    expect(code).toBe(0)
  },
)
