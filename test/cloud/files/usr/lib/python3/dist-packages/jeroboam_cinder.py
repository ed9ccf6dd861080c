"""Volumes of this cloud: sparse files, each on a loop device while a server has it. The kernel has no device mapper and no iSCSI."""
import os

from oslo_concurrency import processutils
from oslo_log import log as logging

from cinder import exception
from cinder.image import image_utils
from cinder.volume import driver

LOG = logging.getLogger(__name__)
DIR = '/var/lib/cinder/volumes'
GB = 1 << 30


class Driver(driver.VolumeDriver):
    VERSION = '1'

    def check_for_setup_error(self):
        os.makedirs(DIR, exist_ok=True)

    def _update_volume_stats(self):
        st = os.statvfs(DIR)
        self._stats = {
            'volume_backend_name': self.configuration.safe_get('volume_backend_name'), 'vendor_name': 'Jeroboam', 'driver_version': self.VERSION,
            'storage_protocol': 'local', 'total_capacity_gb': st.f_blocks * st.f_frsize // GB, 'free_capacity_gb': st.f_bavail * st.f_frsize // GB,
            'reserved_percentage': 0, 'thin_provisioning_support': True, 'max_over_subscription_ratio': 20, 'multiattach': False, 'QoS_support': False,
        }

    def local_path(self, volume):
        return os.path.join(DIR, volume.name)

    def _resize(self, path, gb):
        with open(path, 'ab') as f:
            f.truncate(gb * GB)

    def _device(self, path):
        out, _ = processutils.execute('losetup', '--associated', path, '--output', 'NAME', '--noheadings')
        return out.strip()

    def _copy(self, source, target, gb):
        processutils.execute('cp', '--sparse=always', source, target)
        self._resize(target, gb)

    def create_volume(self, volume):
        self._resize(self.local_path(volume), volume.size)

    def delete_volume(self, volume):
        path = self.local_path(volume)
        if os.path.exists(path):
            self.remove_export(None, volume)
            os.unlink(path)

    def extend_volume(self, volume, size):
        path = self.local_path(volume)
        self._resize(path, size)
        device = self._device(path)
        if device:
            processutils.execute('losetup', '--set-capacity', device)

    def create_snapshot(self, snapshot):
        self._copy(self.local_path(snapshot.volume), os.path.join(DIR, snapshot.name), snapshot.volume_size)

    def delete_snapshot(self, snapshot):
        path = os.path.join(DIR, snapshot.name)
        if os.path.exists(path):
            os.unlink(path)

    def create_volume_from_snapshot(self, volume, snapshot):
        self._copy(os.path.join(DIR, snapshot.name), self.local_path(volume), volume.size)

    def create_cloned_volume(self, volume, source):
        self._copy(self.local_path(source), self.local_path(volume), volume.size)

    def copy_image_to_volume(self, context, volume, image_service, image_id):
        image_utils.fetch_to_raw(context, image_service, image_id, self.local_path(volume), self.configuration.volume_dd_blocksize, size=volume.size)
        self._resize(self.local_path(volume), volume.size)

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        image_utils.upload_volume(context, image_service, image_meta, self.local_path(volume), volume)

    def ensure_export(self, context, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def remove_export(self, context, volume):
        device = self._device(self.local_path(volume))
        if device:
            processutils.execute('losetup', '--detach', device)

    def initialize_connection(self, volume, connector):
        path = self.local_path(volume)
        if not os.path.exists(path):
            raise exception.VolumeNotFound(volume_id=volume.id)
        device = self._device(path)
        if not device:
            out, _ = processutils.execute('losetup', '--find', '--show', path)
            device = out.strip()
        return {'driver_volume_type': 'local', 'data': {'device_path': device, 'volume_id': volume.id}}

    def terminate_connection(self, volume, connector, **kwargs):
        self.remove_export(None, volume)
