/** For development: prints each code, one line, `sms to +8613800000001: 493021`. */
import type { SmsProvider } from './provider.ts'

/** `write` is given whole lines; by default they go to standard output. */
export function createConsoleSms(
  write: (line: string) => void = (line) => process.stdout.write(line),
): SmsProvider {
  return {
    async sendCode({ phone, code }) {
      write(`sms to ${phone}: ${code}\n`)
    },
  }
}
