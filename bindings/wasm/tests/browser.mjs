// A Chromium that talks to this machine alone.

import { chromium } from 'playwright-core';

const PATH = process.env.SECURE_TORCH_CHROMIUM ?? '/usr/bin/chromium';

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Whether there is a Chromium to test with. Without one, the step says so by name. */
export const skip = PATH === '' ? 'no Chromium here' : false;

/** Starts it with a profile of its own, which playwright removes afterwards. */
export function launch() {
  return chromium.launch({ executablePath: PATH, args: ARGUMENTS });
}
