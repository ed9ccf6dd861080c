"""The provider "amphora" of this cloud: it takes everything, and the load balancer daemon (test/cloud/balancer) does the work."""
from octavia.api.drivers.noop_driver import driver


class Driver(driver.NoopProviderDriver):
    def create_vip_port(self, *args, **kwargs):
        # Octavia's API then makes the port in Neutron by itself.
        raise NotImplementedError()
