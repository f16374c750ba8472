// Package tpm keeps Pinward's root key in a TPM 2.0 and makes the TPM speak for the box.
//
// It knows: how the root key is made, sealed under the boot measurements (PCR) and a passphrase, opened again,
// and restored from two of three shares of a recovery kit; how a restricted key inside the TPM signs an audit head;
// how a TPM counter binds that head to a moment that cannot be played twice.
//
// It also knows how the TPM is owned, so that no other program clears it or deletes the counter; how the boot measurements are
// set aside for one boot before a firmware update; how the root key is replaced; and what the firmware says of Secure Boot
// and of a changed register.
//
// It does not know what is wrapped under the root key, what an audit head says, where its own State is kept, or who
// may ask. It writes no log. The root key never leaves a Keys: the verbs are Wrap, Unwrap, SignHead, Counter, Anchor.
//
// What it protects against, and what not:
//   - A stolen disk: nothing on it opens without this TPM (and the passphrase, where one is chosen).
//   - A listener on the wires to the chip: secrets cross only inside sessions salted to a storage key whose Name
//     was pinned at commissioning, with parameter encryption. Somebody who answers with a key of his own is refused.
//   - A stolen box that still boots as before is not protected by ModeTPM: it opens by itself.
//   - A box whose seal is suspended (Suspend) is open to whoever boots anything on this board, for this boot and the next.
//   - Owner and lockout authorisation (Own) hold against other programs, not against the firmware's menu or root's look into
//     this process.
//   - Somebody who can write the State file can pin another key. Only a verified root file system prevents that.
//   - Somebody who is root while the daemon runs can read its memory, hence the root key.
//
// Nothing here is used on the way of a message: a real chip needs 0.2 to 0.6 s for one signature.
package tpm
