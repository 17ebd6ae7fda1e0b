#!/bin/sh
# Run in the new base system: kernel modules, users, nginx, and the units of the scenarios.
set -eu

# Not dpkg -x: where the package has a folder /lib, that would replace the link to /usr/lib.
dpkg-deb --fsys-tarfile /boot/linux-image-*.deb | tar -x --keep-directory-symlink -C /
rm /boot/linux-image-*.deb
depmod "$(ls /usr/lib/modules)"

# There is no udev, so no device unit ever appears: what waits for one would wait 90 s.
systemctl mask serial-getty@ttyS0.service getty.target dev-ttyS0.device
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer systemd-timesyncd.service
systemctl mask systemd-networkd-wait-online.service

echo emperor-vm >/etc/hostname
# The tenants of the scenarios.
for name in alice bob carol; do
    useradd --create-home --home-dir "/srv/$name" --shell /bin/sh "$name"
done

# Debian's uWSGI Emperor is there to be switched over, in a unit of the scenario's.
systemctl disable uwsgi-emperor
rm -f /etc/init.d/uwsgi-emperor /etc/rc?.d/*uwsgi*

# One server block for all vassals: a link to the package's, which is installed later.
rm -f /etc/nginx/sites-enabled/default
ln -s /usr/share/emperord/nginx/emperor-hosts.conf /etc/nginx/conf.d/emperor-hosts.conf

install -m 644 /guest/scenarios.service /guest/shell.service /etc/systemd/system/
systemctl enable scenarios.service shell.service
rm -rf /guest
