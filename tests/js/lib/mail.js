// Mails, read from the catcher by the API that Mailpit's clients use.
import { setTimeout as sleep } from 'node:timers/promises'

/** The newest mail to an address. */
export async function mailTo(backend, address) {
  const api = `${backend.env.MAILPIT_URL}/api/v1`
  for (let i = 0; i < 50; i++) {
    const found = await (await fetch(`${api}/search?query=${encodeURIComponent(`to:"${address}"`)}`)).json()
    if (found.messages.length > 0) {
      const mail = await (await fetch(`${api}/message/${found.messages[0].ID}`)).json()
      const link = /href="([^"]+)"/.exec(mail.HTML)?.[1].replaceAll('&amp;', '&')
      const code = /code: (\d+)/.exec(mail.HTML)?.[1]
      return { subject: mail.Subject, html: mail.HTML, text: mail.Text, from: mail.From, link, code }
    }
    await sleep(100)
  }
  throw new Error(`no mail to ${address}`)
}

/** Empties the box, so that the next mail is the only one. */
export async function forgetMails(backend) {
  await fetch(`${backend.env.MAILPIT_URL}/api/v1/messages`, { method: 'DELETE' })
}

/** Follows a link of a mail as a browser does, and returns where it leads with what stands behind `#`. */
export async function click(link) {
  const answer = await fetch(link, { redirect: 'manual' })
  if (answer.status !== 303) throw new Error(`${link} answered ${answer.status}: ${await answer.text()}`)
  const target = new URL(answer.headers.get('location'))
  return { target, fragment: new URLSearchParams(target.hash.slice(1)) }
}
