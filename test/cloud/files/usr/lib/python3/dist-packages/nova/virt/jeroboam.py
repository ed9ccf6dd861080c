"""Nova's libvirt driver, and what it lacks to attach volumes to containers: a disk bus that libvirt knows, and the link that udev
makes in a virtual machine and by which Cinder's CSI plugin finds a volume."""
import glob
import subprocess

from nova.virt.libvirt import driver


class Driver(driver.LibvirtDriver):
    def _get_volume_config(self, instance, connection_info, disk_info):
        conf = super()._get_volume_config(instance, connection_info, disk_info)
        conf.target_bus = 'virtio'
        return conf

    def attach_volume(self, context, connection_info, instance, mountpoint, *args, **kwargs):
        super().attach_volume(context, connection_info, instance, mountpoint, *args, **kwargs)
        device = mountpoint.rpartition('/')[2]
        self._inside(instance, 'mkdir -p /dev/disk/by-id && ln -sfn ../../%s /dev/disk/by-id/%s' % (device, _name(connection_info)))

    def detach_volume(self, context, connection_info, instance, mountpoint, *args, **kwargs):
        super().detach_volume(context, connection_info, instance, mountpoint, *args, **kwargs)
        self._inside(instance, 'rm -f /dev/disk/by-id/%s' % _name(connection_info))

    def extend_volume(self, *args, **kwargs):
        """Cinder has told the loop device, which is all there is to it."""

    def _inside(self, instance, command):
        for path in glob.glob('/run/libvirt/lxc/%s.pid' % instance.name):
            controller = open(path).read().strip()
            for first in open('/proc/%s/task/%s/children' % (controller, controller)).read().split():
                subprocess.run(['nsenter', '-t', first, '-m', '--', 'sh', '-c', command], check=False)


def _name(connection_info):
    """What udev calls a virtio disk: the first twenty letters of its serial number, which Nova makes the volume's id."""
    return 'virtio-' + connection_info['serial'][:20]
