//! Python functions as operations: called for each block, or for each item of a list.

use crate::arrays::{self, Array};
use crate::blocking::{PyBlock, PyBlockWithHalo};
use crate::errors::{IntoPython, exception};
use crate::read_ahead::{ReadAhead, take_in_hand};
use bioimage_engine::Result;
use bioimage_engine::op::{ArrayShape, BlockIo, Operation, Product};
use bioimage_engine::run::cancel::CancelToken;
use pyo3::exceptions::{PyBaseException, PyKeyError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a function is called with besides the block.
struct Arguments {
    inputs: Py<PyAny>,
    outputs: Py<PyAny>,
    mask: Py<PyAny>,
    halo: Option<Vec<u64>>,
    ahead: Vec<Arc<ReadAhead>>,
}

/// What becomes of the values that a function returns.
#[derive(Default)]
struct Values {
    /// Whether they are kept as objects, by block or item.
    kept: Option<Mutex<BTreeMap<u64, Py<PyAny>>>>,
    /// What makes bytes of a value for the run folder.
    pickle: Option<Py<PyAny>>,
    /// The numbers of the values that were added since the last look.
    new: Mutex<Vec<u64>>,
    /// Bytes that were made for the run folder.
    written: AtomicU64,
}

/// So many bytes of values that this process keeps, too, are written for a resume by another one;
/// blocks without a value there are done again then.
const MOST_WRITTEN: u64 = 256 << 20;

/// A Python function as an operation.
pub struct PythonFunction {
    name: String,
    function: Py<PyAny>,
    arguments: Option<Arguments>,
    /// The items that a function without arguments is called with; by default their positions.
    items: Option<Vec<i64>>,
    /// Whether libraries with threads of their own are held to one for each worker.
    one_thread_each: bool,
    values: Option<Values>,
    error: Mutex<Option<(u64, Py<PyBaseException>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PythonFunction {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)?;
        if let Some(Arguments { inputs, outputs, mask, .. }) = &self.arguments {
            visit.call(inputs)?;
            visit.call(outputs)?;
            visit.call(mask)?;
        }
        if let Some(values) = &self.values {
            visit.call(&values.pickle)?;
            let kept = values.kept.as_ref().map(lock);
            kept.iter().flat_map(|kept| kept.values()).try_for_each(|value| visit.call(value))?;
        }
        lock(&self.error).iter().try_for_each(|(_, error)| visit.call(error))
    }

    fn call<'py>(&self, py: Python<'py>, io: &BlockIo) -> PyResult<Bound<'py, PyAny>> {
        let function = self.function.bind(py);
        let Some(Arguments { inputs, outputs, mask, halo, .. }) = &self.arguments else {
            let position = io.block.id as usize;
            let item =
                self.items.as_ref().map_or(Some(position as i64), |ids| ids.get(position).copied());
            return function.call1((item,));
        };
        if halo.is_some() {
            return function.call1((PyBlockWithHalo::of(io.block), inputs, outputs, mask));
        }
        function.call1((PyBlock(io.block.inner.clone()), inputs, outputs, mask))
    }

    /// Remembers the exception of the first block that raised one.
    fn note_error(&self, id: u64, error: Py<PyBaseException>) {
        let mut first = lock(&self.error);
        let other = match &*first {
            Some((block, _)) if *block < id => Some((id, error)),
            _ => first.replace((id, error)),
        };
        // Let go of outside of the lock: that may run Python code.
        drop(first);
        drop(other);
    }

    /// Keeps a value, and gives its bytes where the run folder is to have them.
    fn keep(&self, py: Python<'_>, id: u64, value: Bound<'_, PyAny>) -> Result<Option<Vec<u8>>> {
        let Some(values) = &self.values else { return Ok(None) };
        let full = values.kept.is_some() && values.written.load(Ordering::Relaxed) > MOST_WRITTEN;
        let pickled: Option<Vec<u8>> = match &values.pickle {
            None => None,
            Some(_) if full => None,
            Some(pickle) => match pickle.bind(py).call1((&value,)) {
                Ok(bytes) => Some(bytes.extract().map_err(|error| exception(py, &error))?),
                // Where it is kept as it is, it is only missed if the run is resumed elsewhere.
                Err(_) if values.kept.is_some() => None,
                Err(error) => {
                    let mut error = exception(py, &error);
                    error.message = format!("the value cannot be pickled: {}", error.message);
                    return Err(error.fix(
                        "Return numbers, arrays or other plain data, or use the local backend.",
                    ));
                }
            },
        };
        let written = pickled.as_ref().map_or(0, Vec::len) as u64;
        values.written.fetch_add(written, Ordering::Relaxed);
        if let Some(kept) = &values.kept {
            // What is replaced is let go of outside of the lock: that may run Python code.
            let before = lock(kept).insert(id, value.unbind());
            drop(before);
            lock(&values.new).push(id);
        }
        Ok(pickled)
    }
}

impl Operation for PythonFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn halo(&self, ndim: usize) -> Vec<u64> {
        let halo = self.arguments.as_ref().and_then(|arguments| arguments.halo.clone());
        halo.unwrap_or_else(|| vec![0; ndim])
    }

    /// A function checks its outputs itself.
    fn outputs(&self, _inputs: &[ArrayShape]) -> Result<Vec<ArrayShape>> {
        Ok(Vec::new())
    }

    /// What a function takes by itself is not known: the block in hand, the one that is read ahead
    /// and what is written are counted.
    fn block_bytes(&self, outer_voxels: u64, inputs: &[ArrayShape], outputs: &[ArrayShape]) -> u64 {
        let bytes = |arrays: &[ArrayShape]| {
            arrays.iter().map(|array| array.dtype.size() as u64).sum::<u64>()
        };
        outer_voxels * (2 * bytes(inputs) + bytes(outputs))
    }

    /// Threads that leave the interpreter after each block wake each other up all the time, which
    /// takes several times longer than a quick function. It is left where arrays are read and written,
    /// and the interpreter itself lets others in every few milliseconds.
    fn around(&self, work: &mut dyn FnMut()) {
        Python::attach(|py| {
            if self.one_thread_each
                && let Err(error) =
                    py.import("bioimage_rs._threads").and_then(|it| it.call_method0("begin_worker"))
            {
                error.write_unraisable(py, None);
            }
            work();
        });
    }

    fn pause(&self, time: Duration, cancel: &CancelToken) {
        Python::attach(|py| py.detach(|| cancel.sleep(time)));
    }

    fn may_run_in_place(&self) -> bool {
        true
    }

    fn gives_partials(&self) -> bool {
        self.values.as_ref().is_some_and(|values| values.pickle.is_some())
    }

    fn run(&self, io: &BlockIo) -> Result<Product> {
        if let Some(arguments) = &self.arguments
            && !arguments.ahead.is_empty()
        {
            take_in_hand(Some(io.block));
            if let Some(upcoming) = io.upcoming {
                arguments.ahead.iter().for_each(|ahead| ahead.prepare(upcoming));
            }
        }
        arrays::count_traffic();
        let result = Python::attach(|py| match self.call(py, io) {
            Ok(value) => self.keep(py, io.block.id, value),
            Err(error) => {
                let told = exception(py, &error);
                self.note_error(io.block.id, error.into_value(py));
                Err(told)
            }
        });
        take_in_hand(None);
        if let Some(arguments) = &self.arguments {
            arguments.ahead.iter().for_each(|ahead| ahead.forget(io.block));
        }
        Ok(Product { traffic: arrays::count_traffic(), partial: result? })
    }
}

/// A Python function that runs can be made of.
#[pyclass(frozen)]
pub struct Function {
    pub operation: Arc<PythonFunction>,
}

#[pymethods]
impl Function {
    /// Tells the collector of cycles what is held: a function mostly holds the run that it was
    /// started by, for both are names of one script. What a run that goes on holds, too, is in use;
    /// none can begin to hold it while the collector looks, for that takes the interpreter.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match Arc::strong_count(&self.operation) {
            1 => self.operation.traverse(&visit),
            _ => Ok(()),
        }
    }

    /// A function that is called with a block, the inputs, the outputs and the mask. Values are kept
    /// as objects, handed to `pickle` for the run folder, or both.
    #[staticmethod]
    #[pyo3(signature = (name, function, inputs, outputs, mask, *, halo, ahead, local, keep, pickle))]
    #[allow(clippy::too_many_arguments, reason = "keywords on the Python side")]
    fn of_blocks(
        name: String,
        function: Py<PyAny>,
        inputs: Py<PyAny>,
        outputs: Py<PyAny>,
        mask: Py<PyAny>,
        halo: Option<Vec<u64>>,
        ahead: Vec<PyRef<'_, Array>>,
        local: bool,
        keep: bool,
        pickle: Option<Py<PyAny>>,
    ) -> Self {
        let ahead = ahead.iter().filter_map(|array| array.ahead.clone()).collect();
        let arguments = Arguments { inputs, outputs, mask, halo, ahead };
        Function::new(name, function, Some(arguments), None, local, keep, pickle)
    }

    /// A function that is called with the number of an item.
    #[staticmethod]
    #[pyo3(signature = (name, function, *, items, local, keep, pickle))]
    fn of_items(
        name: String,
        function: Py<PyAny>,
        items: Option<Vec<i64>>,
        local: bool,
        keep: bool,
        pickle: Option<Py<PyAny>>,
    ) -> Self {
        Function::new(name, function, None, items, local, keep, pickle)
    }

    /// The first exception that was raised, and the block or item that raised it.
    fn error(&self, py: Python<'_>) -> Option<(u64, Py<PyBaseException>)> {
        let error = lock(&self.operation.error);
        error.as_ref().map(|(id, error)| (*id, error.clone_ref(py)))
    }

    /// All values that were kept, by the number of their block or item.
    fn values(&self, py: Python<'_>) -> Vec<(u64, Py<PyAny>)> {
        let kept = self.operation.values.as_ref().and_then(|values| values.kept.as_ref());
        let clone = |(id, value): (&u64, &Py<PyAny>)| (*id, value.clone_ref(py));
        kept.map_or_else(Vec::new, |kept| lock(kept).iter().map(clone).collect())
    }

    /// A value that was kept.
    fn value(&self, py: Python<'_>, id: u64) -> PyResult<Py<PyAny>> {
        let kept = self.operation.values.as_ref().and_then(|values| values.kept.as_ref());
        let found = kept.and_then(|kept| Some(lock(kept).get(&id)?.clone_ref(py)));
        found.ok_or_else(|| PyKeyError::new_err(id))
    }

    /// The blocks or items whose values were added since the last look.
    fn take_new(&self) -> Vec<u64> {
        self.operation
            .values
            .as_ref()
            .map_or_else(Vec::new, |values| mem::take(&mut lock(&values.new)))
    }
}

impl Function {
    fn new(
        name: String,
        function: Py<PyAny>,
        arguments: Option<Arguments>,
        items: Option<Vec<i64>>,
        local: bool,
        keep: bool,
        pickle: Option<Py<PyAny>>,
    ) -> Self {
        let values = (keep || pickle.is_some()).then(|| Values {
            kept: keep.then(Mutex::default),
            pickle,
            new: Mutex::default(),
            written: AtomicU64::new(0),
        });
        let error = Mutex::default();
        // Worker processes are started with that setting.
        let one_thread_each = local;
        let operation =
            PythonFunction { name, function, arguments, items, one_thread_each, values, error };
        Function { operation: Arc::new(operation) }
    }
}

/// Reads the partial results of a run as they are written.
#[pyclass]
pub struct PartialReader {
    reader: bioimage_engine::run::partials::PartialReader,
}

#[pymethods]
impl PartialReader {
    #[new]
    fn new(run: &crate::runs::Run) -> Self {
        let reader = bioimage_engine::run::partials::PartialReader::new(&run.view.folder);
        PartialReader { reader }
    }

    /// What was added since the last look: numbers and bytes.
    fn poll<'py>(&mut self, py: Python<'py>) -> PyResult<Vec<(u64, Bound<'py, PyBytes>)>> {
        let records = py.detach(|| self.reader.poll()).into_python(py)?;
        Ok(records.iter().map(|(id, bytes)| (*id, PyBytes::new(py, bytes))).collect())
    }
}
